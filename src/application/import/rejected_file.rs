//! The file of rejected lines: number, reason and content of each.

use std::io::Write;

use super::line::{Fields, Rejection};

/// Writes rejected lines as CSV: line number, reason, detail, and the fields as in the source.
pub struct RejectedFile<W: Write>(csv::Writer<W>);

impl<W: Write> RejectedFile<W> {
    /// Writes the header; `header` is the header of the source.
    pub fn new(out: W, header: &Fields) -> csv::Result<Self> {
        // a line that was rejected for a wrong number of fields keeps that number
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(out);
        csv.write_record(["line", "reason", "detail"].into_iter().chain(header.iter()))?;
        Ok(Self(csv))
    }

    /// Writes a rejected line.
    pub fn write(&mut self, rejection: &Rejection) -> csv::Result<()> {
        let (number, reason) = (rejection.line.number.to_string(), rejection.reason.code());
        let cause = [number.as_str(), reason, rejection.detail.as_str()];
        self.0.write_record(cause.into_iter().chain(rejection.line.fields.iter()))
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::import::line::{Reason, SourceLine};

    #[test]
    fn a_rejected_line_is_written_as_it_was_read() {
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
