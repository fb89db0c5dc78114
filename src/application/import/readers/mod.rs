//! Reads other shops' files, and our own, as a stream of outcomes.
//!
//! A [`Reader`] knows the layout by the file's first line, reads record by record within a bounded memory, and turns
//! each into what its layout says. What breaks the file itself (its encoding, its quotation marks, its columns) is
//! a [`ReadError`] with line and column, after which nothing more comes; what is wrong with one line alone rejects
//! that line.
//!
//! # Adding one
//! A layout is one file that implements `Layout`: its columns in `new`, what a line means in `take`, and what waited
//! for later lines in `finish`. It is named in [`Format`] and made in `Reader::open`.

mod bounded_lines;
mod category_tree;
mod csv_table;
mod decimal;
mod error;
mod format;
mod json_lines;
mod layout;
mod online_retail;
mod refusal;
mod shopify;
mod text;
mod woocommerce;

use std::io::BufRead;

pub use self::bounded_lines::MAX_RECORD;
pub use self::error::{Fault, ReadError};
pub use self::format::{Format, NotAFormat};
pub use self::layout::{Entry, Outcome};

use self::bounded_lines::BoundedLines;
use self::csv_table::CsvTable;
use self::layout::{Layout, Outcomes};
use super::line::{Fields, Reason, SourceLine};
use crate::domain::money::Currency;

/// What a file does not say about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Its layout; `None` looks at its first line.
    pub format: Option<Format>,
    /// The currency of the prices, for the layouts that leave it out.
    pub currency: Option<Currency>,
    /// The stock of a variant whose pieces the other shop does not count, because it always has some.
    pub uncounted_stock: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: None, currency: None, uncounted_stock: 1_000_000 }
    }
}

/// A file being read.
pub struct Reader<R> {
    source: Source<R>,
    layout: Box<dyn Layout>,
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
    /// Reads the beginning of a file.
    pub fn open(input: R, options: &Options) -> Result<Self, ReadError> {
        let mut lines = BoundedLines::new(input)?;
        let is_json = match options.format {
            Some(format) => format == Format::JsonLines,
            None => lines.peek()? == Some(b'{'),
        };
        if is_json {
            let layout = Box::new(json_lines::JsonLines);
            let header = ["record"].into_iter().collect();
            return Ok(Self::new(Source::Lines(lines), layout, Format::JsonLines, header));
        }
        let mut table = CsvTable::new(lines);
        let Some(header) = table.next_record()? else { return Err(Fault::Empty.at_line(1)) };
        let at_header = |fault: Fault| fault.at_line(header.number);
        let format = options
            .format
            .or_else(|| Format::of_header(&header.fields))
            .ok_or_else(|| at_header(Fault::UnknownFormat))?;
        let layout = Self::layout(format, &header.fields, options).map_err(at_header)?;
        Ok(Self::new(Source::Table(table), layout, format, header.fields))
    }

    fn layout(format: Format, header: &Fields, options: &Options) -> Result<Box<dyn Layout>, Fault> {
        Ok(match format {
            Format::OnlineRetail => Box::new(online_retail::OnlineRetail::new(header)?),
            Format::Shopify => Box::new(shopify::Shopify::new(header, options)?),
            Format::Woocommerce => Box::new(woocommerce::Woocommerce::new(header, options)?),
            Format::JsonLines => Box::new(json_lines::JsonLines),
        })
    }

    fn new(source: Source<R>, layout: Box<dyn Layout>, format: Format, header: Fields) -> Self {
        Self { source, layout, format, header, ready: Outcomes::default(), lines: 0, done: false }
    }

    /// The layout of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The currency of what its lines are worth, if they are worth anything.
    pub fn currency(&self) -> Option<Currency> {
        (self.format == Format::OnlineRetail).then_some(online_retail::CURRENCY)
    }

    /// The names of its columns.
    pub fn header(&self) -> &Fields {
        &self.header
    }

    /// How many lines were read, without the header and empty ones.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes in the next line; whether there was one.
    fn advance(&mut self) -> Result<bool, ReadError> {
        let Some(line) = self.source.next_line()? else { return Ok(false) };
        self.lines += 1;
        let (expected, found) = (self.header.len(), line.fields.len());
        if found != expected {
            let detail = format!("{found} fields instead of {expected}");
            self.ready.reject(line.reject(Reason::WrongFieldCount, detail));
        } else if line.fields.iter().any(|field| field.contains('\0')) {
            self.ready.reject(line.reject(Reason::NulByte, ""));
        } else {
            self.layout.take(line, &mut self.ready);
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
                    self.layout.finish(&mut self.ready);
                }
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
