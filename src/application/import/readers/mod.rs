//! Reads other shops' files, and the store's own, as a stream of outcomes.
//!
//! [`encoding_of`] finds the encoding of a whole file. A [`Reader`] finds the separator and the format by the first
//! line of the file, reads line by line in bounded memory, and yields a record or a rejection for each. A fault of the
//! file as a whole (encoding, quotation marks, columns) is a [`ReadError`] with line and column, which ends the file. A
//! fault of one line rejects that line.
//!
//! # Adding one
//!
//! 1. Write `<format>.rs` with a type that implements `FormatReader`: `new` finds the columns, `read` turns a line into
//!    records, and `finish` adds the records that depended on later lines. `shopify` is an example.
//! 2. Add the format to [`Format`] and to `Reader::format_reader`.

mod bounded_lines;
mod category_tree;
mod columns;
mod csv_table;
mod decimal;
mod detection;
mod encoding;
mod error;
mod field_parsing;
mod format;
mod format_reader;
mod json_lines;
mod kept_columns;
mod keys;
mod numbers;
mod online_retail;
mod shopify;
mod skus;
mod text;
mod unknown_header;
mod utf8_text;
mod woocommerce;

use std::io::BufRead;

use jiff::Timestamp;

pub use self::bounded_lines::MAX_RECORD;
pub use self::detection::encoding_of;
pub use self::encoding::{Encoding, UnknownEncoding};
pub use self::error::{Fault, ReadError};
pub use self::format::{Format, UnknownFormat};
pub use self::format_reader::{Entry, Outcome};
pub use self::kept_columns::UnusedValues;
pub use self::numbers::{DecimalMark, Marks, UnknownMark};

use self::bounded_lines::BoundedLines;
use self::csv_table::CsvTable;
use self::format_reader::{FormatReader, Outcomes};
use self::numbers::NumberColumns;
use super::line::{Fields, Reason, SourceLine};
use crate::domain::language::Language;
use crate::domain::money::Currency;

/// What a file does not contain itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The format; if `None`, it is found by the first line.
    pub format: Option<Format>,
    /// The encoding of a file without a byte order mark; if `None`, it is UTF-16 or UTF-8.
    pub encoding: Option<Encoding>,
    /// The decimal marks of the numbers, which decide what an ambiguous one is.
    pub marks: Marks,
    /// The currency of the prices, for formats that do not contain it.
    pub currency: Option<Currency>,
    /// Whether a SKU that two variants of the file share gets a suffix, instead of its line being rejected.
    pub suffix_duplicate_skus: bool,
    /// The creation date of records that have none in the file.
    pub created_at: Timestamp,
    /// The base language of the store, in which the base texts of records are that name no language.
    pub base_language: Language,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            encoding: None,
            marks: Marks::default(),
            currency: None,
            suffix_duplicate_skus: false,
            created_at: Timestamp::UNIX_EPOCH,
            base_language: Language::EN,
        }
    }
}

/// How the text of a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The encoding.
    pub encoding: Encoding,
    /// The byte between two fields of a line; a comma in JSON Lines.
    pub separator: u8,
}

/// A file that is read as a stream of outcomes.
pub struct Reader<R> {
    source: Source<R>,
    parser: Box<dyn FormatReader>,
    numbers: NumberColumns,
    format: Format,
    header: Fields,
    ready: Outcomes,
    lines: u64,
    done: bool,
}

enum Source<R> {
    Table(CsvTable<R>),
    Lines(BoundedLines<R>),
}

impl<R: BufRead> Reader<R> {
    /// Opens a file and reads its header. Fails if the format is unknown or columns are missing.
    pub fn open(input: R, options: &Options) -> Result<Self, ReadError> {
        let mut lines = BoundedLines::new(input, options.encoding)?;
        let is_json = match options.format {
            Some(format) => format == Format::JsonLines,
            None => lines.peek()? == Some(b'{'),
        };
        if is_json {
            let header: Fields = ["record"].into_iter().collect();
            let reader = Self::format_reader(Format::JsonLines, &header, options);
            let reader = reader.map_err(|fault| fault.at_line(1))?;
            return Ok(Self::new(Source::Lines(lines), reader, Format::JsonLines, header));
        }
        let mut table = CsvTable::new(lines);
        let Some(header) = table.next_record()? else { return Err(Fault::Empty.at_line(1)) };
        let at_header = |fault: Fault| fault.at_line(header.number);
        let format = options
            .format
            .or_else(|| Format::of_header(&header.fields))
            .or_else(|| Format::of_header(&woocommerce::in_english(&header.fields)))
            .ok_or_else(|| at_header(Self::unknown_format(&header.fields)))?;
        let reader = Self::format_reader(format, &header.fields, options).map_err(at_header)?;
        Ok(Self::new(Source::Table(table), reader, format, header.fields))
    }

    fn unknown_format(header: &Fields) -> Fault {
        let coverages = [
            (Format::OnlineRetail, online_retail::coverage(header)),
            (Format::Shopify, shopify::coverage(header)),
            (Format::Woocommerce, woocommerce::coverage(header)),
        ];
        match unknown_header::other_records(header) {
            Some(records) => Fault::OtherRecords(records),
            None => Fault::UnknownFormat(unknown_header::describe(header, coverages)),
        }
    }

    fn format_reader(
        format: Format,
        header: &Fields,
        options: &Options,
    ) -> Result<Box<dyn FormatReader>, Fault> {
        Ok(match format {
            Format::OnlineRetail => Box::new(online_retail::OnlineRetail::new(header, options)?),
            Format::Shopify => Box::new(shopify::Shopify::new(header, options)?),
            Format::Woocommerce => Box::new(woocommerce::Woocommerce::new(header, options)?),
            Format::JsonLines => Box::new(json_lines::JsonLines::new(options)),
        })
    }

    fn new(source: Source<R>, parser: Box<dyn FormatReader>, format: Format, header: Fields) -> Self {
        let numbers = parser.numbers();
        Self { source, parser, numbers, format, header, ready: Outcomes::default(), lines: 0, done: false }
    }

    /// Returns the format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns how the text of the file is written.
    pub fn dialect(&self) -> Dialect {
        match &self.source {
            Source::Table(table) => Dialect { encoding: table.encoding(), separator: table.separator() },
            Source::Lines(lines) => Dialect { encoding: lines.encoding(), separator: b',' },
        }
    }

    /// Returns the decimal marks that the lines read so far show.
    pub fn marks(&self) -> Marks {
        self.numbers.marks()
    }

    /// Returns the currency of the lines' amounts, if the lines of the format have amounts.
    pub fn currency(&self) -> Option<Currency> {
        (self.format == Format::OnlineRetail).then_some(online_retail::CURRENCY)
    }

    /// Returns the number of values in the lines read so far that the store does not use itself.
    pub fn unused_values(&self) -> UnusedValues {
        self.parser.unused_values()
    }

    /// Returns the names of the columns.
    pub fn header(&self) -> &Fields {
        &self.header
    }

    /// Returns the number of lines read so far, without the header and empty lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads the next line. Returns whether there was one.
    fn advance(&mut self) -> Result<bool, ReadError> {
        let Some(line) = self.source.next_line()? else { return Ok(false) };
        self.lines += 1;
        let (expected, found) = (self.header.len(), line.fields.len());
        if found != expected {
            let detail = format!("{found} fields instead of {expected}");
            self.parser.reject(line, (Reason::WrongFieldCount, detail), &mut self.ready);
        } else if line.fields.iter().any(|field| field.contains('\0')) {
            self.parser.reject(line, (Reason::NulByte, String::new()), &mut self.ready);
        } else {
            self.numbers.add(&line);
            self.parser.read(line, &mut self.ready);
        }
        Ok(true)
    }
}

impl<R: BufRead> Source<R> {
    fn next_line(&mut self) -> Result<Option<SourceLine>, ReadError> {
        let line = |number, fields| SourceLine { number, amount: None, fields };
        match self {
            Self::Table(table) => Ok(table.next_record()?.map(|record| line(record.number, record.fields))),
            Self::Lines(lines) => {
                Ok(json_lines::next_line(lines)?.map(|(number, fields)| line(number, fields)))
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Outcome, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(outcome) = self.ready.pop() {
                return Some(Ok(outcome));
            }
            if self.done {
                return None;
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.done = true;
                    self.parser.finish(&mut self.ready);
                }
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
