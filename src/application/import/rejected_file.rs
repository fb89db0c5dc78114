//! The file of rejected lines: number, reason and content of each. It can be corrected and imported.

use std::io::Write;

use super::line::{CAUSE, Fields, Rejection};
use super::readers::{Dialect, Encoding};

/// Writes rejected lines as CSV: line number, reason, detail, and the fields as in the source.
pub struct RejectedFile<W: Write> {
    csv: csv::Writer<W>,
    /// The number of fields that are not written: those of [`CAUSE`] in a source that is such a file itself.
    skipped: usize,
}

impl<W: Write> RejectedFile<W> {
    /// Writes the header; `header` and `dialect` are those of the source. The file is UTF-8, with a byte order mark if
    /// the source has another encoding, so that it is read as UTF-8 with the same options.
    pub fn new(mut out: W, header: &Fields, dialect: Dialect) -> csv::Result<Self> {
        if dialect.encoding != Encoding::UTF_8 {
            out.write_all("\u{FEFF}".as_bytes())?;
        }
        // a line that was rejected for a wrong number of fields keeps that number
        let mut csv = csv::WriterBuilder::new().flexible(true).delimiter(dialect.separator).from_writer(out);
        let skipped = header.cause_columns();
        csv.write_record(CAUSE.into_iter().chain(header.iter().skip(skipped)))?;
        Ok(Self { csv, skipped })
    }

    /// Writes a rejected line.
    pub fn write(&mut self, rejection: &Rejection) -> csv::Result<()> {
        let (number, reason) = (rejection.line.number.to_string(), rejection.reason.code());
        let cause = [number.as_str(), reason, rejection.detail.as_str()];
        self.csv.write_record(cause.into_iter().chain(rejection.line.fields.iter().skip(self.skipped)))
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.csv.flush()
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
        let header = ["Name", "Note"].into_iter().collect();
        let dialect = Dialect { encoding: Encoding::UTF_8, separator: b',' };
        let mut file = RejectedFile::new(&mut out, &header, dialect).unwrap();
        file.write(&line.reject(Reason::NoPrice, "the price is empty")).unwrap();
        file.finish().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "line,reason,detail,Name,Note\n7,no_price,the price is empty,\"5\"\" pipe\",\"a,b\nc\"\n"
        );
    }
}
