//! Conditions of a query: one for each member of a filter that is set, with numbered parameters.

use std::fmt::{self, Display};

use super::param::Param;

/// Conditions that a row must all fulfil, with the values of their parameters. If there are none, every row does.
#[derive(Debug, Clone, Default)]
pub struct Conditions<'a> {
    all: Vec<String>,
    values: Vec<Param<'a>>,
}

impl<'a> Conditions<'a> {
    /// Adds a condition without parameters.
    pub(crate) fn and(mut self, condition: &str) -> Self {
        self.all.push(condition.to_owned());
        self
    }

    /// Adds a comparison with a value, such as `amount >=`.
    pub(crate) fn compare(mut self, comparison: &str, value: impl Into<Param<'a>>) -> Self {
        let value = self.bind(value.into());
        self.and(&format!("{comparison} {value}"))
    }

    /// Adds a condition with a value between two texts, such as a subquery.
    pub(crate) fn around(mut self, before: &str, value: impl Into<Param<'a>>, after: &str) -> Self {
        let value = self.bind(value.into());
        self.and(&format!("{before} {value} {after}"))
    }

    /// Adds a comparison with a value, if there is one.
    pub(crate) fn compare_some(self, comparison: &str, value: Option<impl Into<Param<'a>>>) -> Self {
        match value {
            Some(value) => self.compare(comparison, value),
            None => self,
        }
    }

    /// Adds a comparison of two columns with a list position, such as `(created_at, id) <`.
    pub(crate) fn compare_position(mut self, comparison: &str, (key, id): (Param<'a>, Param<'a>)) -> Self {
        let (key, id) = (self.bind(key), self.bind(id));
        self.and(&format!("{comparison} ({key}, {id})"))
    }

    /// Adds the condition that a column has one of these values. They are padded to a power of two with the last
    /// one, so that few different statements are prepared.
    pub(crate) fn any_of<T: Into<Param<'a>>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut values: Vec<Param<'a>> = values.into_iter().map(Into::into).collect();
        let Some(last) = values.last().cloned() else { return self.and("FALSE") };
        values.resize(values.len().next_power_of_two(), last);
        let list: Vec<_> = values.into_iter().map(|value| self.bind(value)).collect();
        self.and(&format!("{column} IN ({})", list.join(", ")))
    }

    /// Returns the values of the parameters.
    pub(crate) fn values(&self) -> &[Param<'a>] {
        &self.values
    }

    /// Returns the statement for the first `limit` rows in an order, with its parameters. `select` is the statement
    /// up to its `WHERE`.
    pub(crate) fn first(mut self, select: &str, order: &str, limit: usize) -> (String, Vec<Param<'a>>) {
        let limit = self.bind(limit.into());
        (format!("{select} WHERE {self} ORDER BY {order} LIMIT {limit}"), self.values)
    }

    /// Adds a parameter; returns its placeholder.
    fn bind(&mut self, value: Param<'a>) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

/// Writes the conditions as they follow `WHERE`.
impl Display for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all.is_empty() {
            return f.write_str("TRUE");
        }
        f.write_str(&self.all.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_similar_lengths_have_one_text() {
        let of = |count: i64| Conditions::default().any_of("seq", 0..count);
        assert_eq!(of(5).to_string(), of(8).to_string());
        assert_ne!(of(4).to_string(), of(5).to_string());
        assert_eq!(of(5).values().len(), 8);
        assert_eq!(of(3).to_string(), "seq IN ($1, $2, $3, $4)");
        assert_eq!(of(3).values().last(), Some(&Param::from(2_i64)));
        assert_eq!(of(0).to_string(), "FALSE");
    }
}
