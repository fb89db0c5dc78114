//! The file of lines that were not taken: where they stand, why, and what they said.

use std::io::Write;

use super::line::{Fields, Rejection};

/// Writes rejected lines as CSV: line, reason, detail, and then the fields as they were.
pub struct RejectedFile<W: Write>(csv::Writer<W>);

impl<W: Write> RejectedFile<W> {
    /// Begins the file with its header; `header` is the source's own.
    pub fn new(out: W, header: &Fields) -> csv::Result<Self> {
        // rejected for a wrong number of fields, a line keeps the number it has
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(out);
        csv.write_record(["line", "reason", "detail"].into_iter().chain(header.iter()))?;
        Ok(Self(csv))
    }

    /// Adds a line.
    pub fn write(&mut self, rejection: &Rejection) -> csv::Result<()> {
        let (number, reason) = (rejection.line.number.to_string(), rejection.reason.code());
        let place = [number.as_str(), reason, rejection.detail.as_str()];
        self.0.write_record(place.into_iter().chain(rejection.line.fields.iter()))
    }

    /// Writes out what is still held back.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::import::line::{Reason, SourceLine};

    #[test]
    fn a_rejected_line_can_be_read_back_as_it_was() {
        let fields: Fields = ["5\" pipe", "a,b\nc"].into_iter().collect();
        let line = SourceLine { number: 7, amount: None, fields };
        let mut out = Vec::new();
        let mut file = RejectedFile::new(&mut out, &["Name", "Note"].into_iter().collect()).unwrap();
        file.write(&line.reject(Reason::NoPrice, "the price is empty")).unwrap();
        file.finish().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "line,reason,detail,Name,Note\n7,no_price,the price is empty,\"5\"\" pipe\",\"a,b\nc\"\n"
        );
    }
}
