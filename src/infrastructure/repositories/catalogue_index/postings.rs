//! Postings: for each word the products that contain it, newest first, and the newest products that contain several.
//!
//! A query reads at most a fixed number of rows, whatever its words: older products are for the next query, which
//! resumes where this one ended. PostgreSQL uses one plan of a statement for all words, so the statements must have
//! only plans that suit common words too: with `word = $1` it could fetch all rows and sort them, with a row comparison
//! it reads the key in order.

use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Param, UnitOfWork, key_lists, params,
};
use std::collections::BTreeSet;

/// The rows read to estimate how common a word is.
const SAMPLE: usize = 32;
/// The rows of the rarest word that are read, in steps, because the first is enough for most queries.
const STEPS: [usize; 2] = [256, 768];
/// The most words that a prefix is expanded to.
const EXPANSIONS: usize = 16;

/// Products that contain all words, newest first.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// The products, by their `seq`.
    pub seqs: Vec<i64>,
    /// The `seq` below which there may be more, if any.
    pub more_below: Option<i64>,
}

impl Matches {
    /// Returns whether there are no products, and no more below.
    pub(crate) fn is_empty(&self) -> bool {
        self.seqs.is_empty() && self.more_below.is_none()
    }

    /// Returns the union of two results, down to the `seq` to which both are complete.
    pub(crate) fn union(self, other: Self) -> Self {
        let end = self.more_below.max(other.more_below);
        let mut seqs: Vec<_> = self.seqs.into_iter().chain(other.seqs).collect();
        seqs.retain(|&seq| end.is_none_or(|end| seq >= end));
        seqs.sort_unstable_by(|one, other| other.cmp(one));
        seqs.dedup();
        Self { seqs, more_below: end }
    }

    /// Keeps the newest `most` products.
    pub(crate) fn cut(mut self, most: usize) -> Self {
        if self.seqs.len() > most {
            self.seqs.truncate(most);
            self.more_below = self.seqs.last().copied();
        }
        self
    }
}

/// Returns up to `most` of the newest products below `below` that contain all `words`. Fewer, with `more_below`, if
/// more rows would have to be read than a query may.
pub(crate) async fn matching(
    connection: &mut Connection,
    words: &[String],
    below: i64,
    most: usize,
) -> Result<Matches, DatabaseError> {
    match words {
        [] => Ok(Matches::default()),
        [word] => {
            let seqs = newest(connection, word, below, most.saturating_add(1)).await?;
            Ok(Matches { seqs, more_below: None }.cut(most))
        }
        _ => containing_all(connection, words, below, most).await,
    }
}

/// As [`matching`], with the last word as a prefix.
pub(crate) async fn matching_prefix(
    connection: &mut Connection,
    words: &[String],
    below: i64,
    most: usize,
) -> Result<Matches, DatabaseError> {
    let Some((prefix, whole)) = words.split_last() else { return Ok(Matches::default()) };
    let mut found = Matches::default();
    for word in expansions(connection, prefix).await? {
        let words: Vec<_> = whole.iter().cloned().chain([word]).collect();
        found = found.union(matching(connection, &words, below, most).await?);
    }
    Ok(found.cut(most))
}

/// Reads the products of the rarest of several words, and checks for each whether it contains the others.
async fn containing_all(
    connection: &mut Connection,
    words: &[String],
    below: i64,
    most: usize,
) -> Result<Matches, DatabaseError> {
    let mut by_rarity = Vec::with_capacity(words.len());
    for word in words {
        let sample = newest(connection, word, below, SAMPLE).await?;
        let Some(&reach) = sample.last() else { return Ok(Matches::default()) };
        // a word with fewer rows than the sample is rarer than one that fills it
        by_rarity.push((sample.len(), reach, word));
    }
    by_rarity.sort_unstable();
    let (rarest, others) = (by_rarity[0].2, &by_rarity[1..]);
    let sql = postings_with_others(others.len());
    let mut found = Matches::default();
    let mut at = below;
    for step in STEPS {
        let mut values = vec![Param::from(rarest), at.into(), step.into()];
        values.extend(others.iter().map(|&(.., word)| Param::from(word)));
        let mut rows: Vec<(i64, bool)> = connection.all(&sql, &values).await?;
        rows.sort_unstable_by(|one, other| other.cmp(one));
        found.seqs.extend(rows.iter().filter(|(_, matches)| *matches).map(|(seq, _)| seq));
        at = rows.last().map_or(at, |&(seq, _)| seq);
        found.more_below = (rows.len() == step).then_some(at);
        if found.more_below.is_none() || found.seqs.len() >= most {
            break;
        }
    }
    Ok(found.cut(most))
}

/// Returns the statement for up to $3 postings of the word $1 below the `seq` $2, newest first, each with whether its
/// product contains so many other words, from $4 on.
fn postings_with_others(others: usize) -> String {
    let contains: Vec<_> = (4..4 + others)
        .map(|n| format!("(SELECT 1 FROM product_words o WHERE o.word = ${n} AND o.seq = w.seq) = 1"))
        .collect();
    format!(
        "SELECT w.seq, CASE WHEN {} THEN TRUE ELSE FALSE END FROM (SELECT word, seq FROM product_words \
         WHERE (word, seq) < ($1, $2) ORDER BY word DESC, seq DESC LIMIT $3) w WHERE w.word = $1",
        contains.join(" AND ")
    )
}

/// Returns the newest products below `below` that contain a word.
async fn newest(
    connection: &mut Connection,
    word: &str,
    below: i64,
    limit: usize,
) -> Result<Vec<i64>, DatabaseError> {
    let mut rows: Vec<(String, i64)> = connection.all(NEWEST_POSTINGS, &params![word, below, limit]).await?;
    rows.retain(|(found, _)| found == word);
    Ok(rows.into_iter().map(|(_, seq)| seq).collect())
}

/// Reads postings of a word, newest first. Rows of the preceding words follow if the word has fewer than the limit; the
/// caller removes them.
pub const NEWEST_POSTINGS: &str = "SELECT word, seq FROM product_words \
                                 WHERE (word, seq) < ($1, $2) ORDER BY word DESC, seq DESC LIMIT $3";

/// Returns the first words that begin with `prefix`: those that continue with a letter before those that continue with
/// a digit, which are mostly SKUs.
async fn expansions(connection: &mut Connection, prefix: &str) -> Result<Vec<String>, DatabaseError> {
    let mut found = Vec::new();
    for (from, until) in [(":", "\u{10ffff}"), ("", ":")] {
        let (mut at, end) = (format!("{prefix}{from}"), format!("{prefix}{until}"));
        while found.len() < EXPANSIONS {
            let sql = "SELECT word FROM product_words WHERE word > $1 AND word < $2 ORDER BY word LIMIT 1";
            let Some(word) = connection.first::<String>(sql, &params![&at, &end]).await? else {
                break;
            };
            found.push(word.clone());
            at = word;
        }
    }
    Ok(found)
}

/// A product whose words change.
pub(crate) struct Change {
    pub seq: i64,
    pub before: BTreeSet<String>,
    pub now: BTreeSet<String>,
}

/// Writes the changed postings of products, in the order of the words, so that many products touch each page of the
/// table once.
pub(crate) async fn change(work: &mut UnitOfWork, changes: &[Change]) -> Result<(), DatabaseError> {
    let mut new = Vec::new();
    for Change { seq, before, now } in changes {
        let removed: Vec<_> = before.difference(now).map(String::as_str).collect();
        for (mut values, list) in key_lists(&removed) {
            values.push((*seq).into());
            let sql = format!("DELETE FROM product_words WHERE word IN ({list}) AND seq = ${}", values.len());
            work.execute(&sql, &values).await?;
        }
        new.extend(now.difference(before).map(|word| (word, *seq)));
    }
    new.sort_unstable();
    let rows: Vec<_> = new.into_iter().map(|(word, seq)| params![word, seq]).collect();
    work.insert_missing("product_words (word, seq)", &rows).await.map(drop)
}
