//! `undercroft import`: imports another shop's catalogue and orders.

mod progress;
mod summary;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use self::progress::Progress;
use self::summary::Shown;
use super::{
    CliError,
    open_store::{currency, open_store},
};
use crate::{
    application::import::{
        readers::{DecimalMark, Encoding, Format, Marks, Options},
        run::{ImportError, check, import},
        write_options::ExistingProducts,
    },
    domain::{context::Context, money::Currency},
    infrastructure::repositories::Setup,
    settings::Settings,
};

/// The size of the buffer that the file is read into, in bytes.
const READ_BUFFER_BYTES: usize = 1 << 18;

/// The arguments of `import`.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// The file to import
    file: PathBuf,
    /// The format: online-retail, shopify, woocommerce or json-lines [default: detected by the first line]
    #[arg(long)]
    format: Option<Format>,
    /// The encoding of a file without a byte order mark, such as windows-1252 [default: detected by the whole file]
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// The decimal mark of numbers such as 1.234, `.` or `,` [default: that of the other numbers of the column; such a
    /// number is rejected if there are none]
    #[arg(long, value_name = "MARK")]
    decimal_mark: Option<DecimalMark>,
    /// The currency of the prices, if the format does not contain it (Shopify, WooCommerce)
    #[arg(long, value_name = "CODE")]
    currency: Option<Currency>,
    /// The new file for rejected lines, each with the reason [default: NAME.rejected.csv in this folder, or the first free
    /// of NAME.rejected-2.csv, …]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What happens to a variant whose SKU another variant of the file has: its line is rejected, or it gets a suffix (-2,
    /// -3, …)
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    duplicate_skus: DuplicateSkus,
    /// Take the texts, prices, stock and new variants of products that are in the store already; nothing is removed
    #[arg(long)]
    update: bool,
    /// Exit with code 3 if any line was rejected
    #[arg(long)]
    strict: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What happens to a variant whose SKU another variant of the file has.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
enum DuplicateSkus {
    #[default]
    Reject,
    Suffix,
}

impl Import {
    /// Imports the file. A file that cannot be read to its end changes nothing, and neither does a repeated import.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let failed = |source| CliError::Import { file: self.file.clone(), source };
        let options = Options {
            format: self.format,
            encoding: self.encoding,
            marks: Marks { prices: self.decimal_mark, quantities: self.decimal_mark },
            currency: self.currency,
            suffix_duplicate_skus: self.duplicate_skus == DuplicateSkus::Suffix,
            created_at: self.modified_at(),
        };
        let existing = if self.update { ExistingProducts::Update } else { ExistingProducts::Keep };
        let open = || open(&self.file);
        let rejects = self.rejects.clone().unwrap_or_else(|| default_rejects(&self.file));
        let mut progress = Progress::new(rejects);
        let mut started = Instant::now();
        let report = async {
            let checked = check(open, &options, &mut progress).map_err(failed)?;
            let store = open_store(&settings, Setup::IfEmpty).await?;
            started = Instant::now();
            let report = import(&store, open, checked, existing, &mut progress).await.map_err(failed)?;
            let currency = currency(&settings.store, store.database()).await?;
            let is_new = currency != store.terms.default_currency;
            Ok::<_, CliError>((report, Shown { currency, is_new }))
        }
        .await;
        let rejects = progress.finish().map_err(|error| failed(ImportError::Observer(error)))?;
        let (report, shown) = report?;

        let text = if self.json {
            // a map with text keys can always be written as JSON
            serde_json::to_string(&report).unwrap_or_default()
        } else {
            summary::of(&report, existing, shown, &self.file, rejects.as_deref(), started.elapsed())
        };
        writeln!(stdout(), "{text}").map_err(CliError::Output)?;
        let rejected = &report.totals.rejected;
        if !rejected.not_imported.is_empty() {
            let types: Vec<_> = rejected.not_imported.keys().map(String::as_str).collect();
            return Err(CliError::NotImported(types.join(", ")));
        }
        if self.strict && rejected.lines > 0 {
            return Err(CliError::Rejected(rejected.lines));
        }
        Ok(())
    }

    /// Returns when the file was modified: the creation date of records without one, so that a repeated import writes the
    /// same.
    fn modified_at(&self) -> Timestamp {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        let whole = modified.and_then(|time| Timestamp::from_microsecond(time.as_microsecond()).ok());
        whole.unwrap_or_else(|| Context::system().clock.now())
    }
}

/// Opens a file. The file is read twice, so a pipe is refused.
fn open(file: &Path) -> io::Result<BufReader<File>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file, which is needed because it is read twice",
        ));
    }
    Ok(BufReader::with_capacity(READ_BUFFER_BYTES, File::open(file)?))
}

/// Returns the default file of rejected lines: the first of NAME.rejected.csv, NAME.rejected-2.csv, … that does not
/// exist. It is in the current folder, because that of the file may be read-only.
fn default_rejects(file: &Path) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = file.file_stem().unwrap_or_default().to_owned();
        name.push(if number == 1 { ".rejected.csv".to_owned() } else { format!(".rejected-{number}.csv") });
        PathBuf::from(name)
    };
    let free = (1..=u32::MAX).map(numbered).find(|path| !path.exists());
    free.unwrap_or_else(|| numbered(1))
}
