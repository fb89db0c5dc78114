//! Postings: for each word the products that hold it, newest first, and the newest products that hold several.
//!
//! Every question costs at most a fixed number of rows, however common its words are and however seldom they meet:
//! what lies further down is for the next question, from where this one ended. PostgreSQL plans a statement once for
//! all words; so the statements here leave it no choice that would be good for a rare word and ruinous for a common
//! one: an equality of `word` would let it fetch and sort, a row comparison makes it walk the key.

use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Param, UnitOfWork, key_lists, params,
};
use std::collections::BTreeSet;

/// Rows read to see how common a word is.
const SAMPLE: usize = 32;
/// Rows of the rarest word that are tried, in steps, because most questions end in the first.
const STEPS: [usize; 2] = [256, 768];
/// Words that the beginning of a word stands for at most.
const BEGINNINGS: usize = 16;

/// Products that hold all words, newest first.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// The products, by their `seq`.
    pub seqs: Vec<i64>,
    /// Below which `seq` there may be more.
    pub more_below: Option<i64>,
}

impl Matches {
    /// Whether there is nothing, and nothing more below.
    pub fn is_none(&self) -> bool {
        self.seqs.is_empty() && self.more_below.is_none()
    }

    /// These and others, as far down as both are known.
    pub fn and(self, other: Self) -> Self {
        let end = self.more_below.max(other.more_below);
        let mut seqs: Vec<_> = self.seqs.into_iter().chain(other.seqs).collect();
        seqs.retain(|&seq| end.is_none_or(|end| seq >= end));
        seqs.sort_unstable_by(|one, other| other.cmp(one));
        seqs.dedup();
        Self { seqs, more_below: end }
    }

    /// At most `most` of them.
    pub fn cut(mut self, most: usize) -> Self {
        if self.seqs.len() > most {
            self.seqs.truncate(most);
            self.more_below = self.seqs.last().copied();
        }
        self
    }
}

/// Up to `most` of the newest products below `below` that hold all `words`; fewer, with more below, when they are
/// hard to find.
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
        _ => meeting(connection, words, below, most).await,
    }
}

/// As [`matching`], the last word being the beginning of one.
pub(crate) async fn beginning(
    connection: &mut Connection,
    words: &[String],
    below: i64,
    most: usize,
) -> Result<Matches, DatabaseError> {
    let Some((prefix, whole)) = words.split_last() else { return Ok(Matches::default()) };
    let mut found = Matches::default();
    for word in words_from(connection, prefix).await? {
        let words: Vec<_> = whole.iter().cloned().chain([word]).collect();
        found = found.and(matching(connection, &words, below, most).await?);
    }
    Ok(found.cut(most))
}

/// Walks down the rarest of several words and asks for each product whether it holds the others.
async fn meeting(
    connection: &mut Connection,
    words: &[String],
    below: i64,
    most: usize,
) -> Result<Matches, DatabaseError> {
    let mut by_rarity = Vec::with_capacity(words.len());
    for word in words {
        let sample = newest(connection, word, below, SAMPLE).await?;
        let Some(&reach) = sample.last() else { return Ok(Matches::default()) };
        // one that ends within the sample is rarer than any that goes on
        by_rarity.push((sample.len(), reach, word));
    }
    by_rarity.sort_unstable();
    let mut found = Matches::default();
    let mut at = below;
    let holds_others: Vec<_> = (4..by_rarity.len() + 3)
        .map(|n| format!("(SELECT 1 FROM product_words o WHERE o.word = ${n} AND o.seq = w.seq) = 1"))
        .collect();
    let sql = format!(
        "SELECT w.seq, CASE WHEN {} THEN TRUE ELSE FALSE END FROM (SELECT word, seq FROM product_words \
         WHERE (word, seq) < ($1, $2) ORDER BY word DESC, seq DESC LIMIT $3) w WHERE w.word = $1",
        holds_others.join(" AND ")
    );
    for step in STEPS {
        let mut values = vec![Param::from(by_rarity[0].2), at.into(), rows_of(step)];
        values.extend(by_rarity[1..].iter().map(|&(.., word)| Param::from(word)));
        let mut rows: Vec<(i64, bool)> = connection.all(&sql, &values).await?;
        rows.sort_unstable_by(|one, other| other.cmp(one));
        found.seqs.extend(rows.iter().filter(|(_, holds)| *holds).map(|(seq, _)| seq));
        at = rows.last().map_or(at, |&(seq, _)| seq);
        found.more_below = (rows.len() == step).then_some(at);
        if found.more_below.is_none() || found.seqs.len() >= most {
            break;
        }
    }
    Ok(found.cut(most))
}

/// The newest products below `below` that hold a word.
async fn newest(
    connection: &mut Connection,
    word: &str,
    below: i64,
    limit: usize,
) -> Result<Vec<i64>, DatabaseError> {
    let mut rows: Vec<(String, i64)> =
        connection.all(NEWEST, &[word.into(), below.into(), rows_of(limit)]).await?;
    rows.retain(|(found, _)| found == word);
    Ok(rows.into_iter().map(|(_, seq)| seq).collect())
}

/// A `LIMIT`.
fn rows_of(limit: usize) -> Param<'static> {
    Param::Int(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Runs on into the words before when the word has too few, which is harmless.
pub(crate) const NEWEST: &str = "SELECT word, seq FROM product_words \
                                 WHERE (word, seq) < ($1, $2) ORDER BY word DESC, seq DESC LIMIT $3";

/// The first words that begin with `prefix`: those that go on with a letter before those that go on with a digit,
/// which are mostly numbers of articles.
async fn words_from(connection: &mut Connection, prefix: &str) -> Result<Vec<String>, DatabaseError> {
    let mut found = Vec::new();
    for (from, until) in [(":", "\u{10ffff}"), ("", ":")] {
        let (mut at, end) = (format!("{prefix}{from}"), format!("{prefix}{until}"));
        while found.len() < BEGINNINGS {
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

/// A product that is found by other words than before.
pub(crate) struct Change {
    pub seq: i64,
    pub before: BTreeSet<String>,
    pub now: BTreeSet<String>,
}

/// Makes products be found by their words of now; in the order of the words, so that many products touch each page
/// of the table once.
pub(crate) async fn change(work: &mut UnitOfWork, changes: &[Change]) -> Result<(), DatabaseError> {
    let mut new = Vec::new();
    for Change { seq, before, now } in changes {
        let gone: Vec<_> = before.difference(now).map(String::as_str).collect();
        for (mut values, list) in key_lists(&gone) {
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
