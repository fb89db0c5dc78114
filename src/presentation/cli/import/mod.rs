//! `undercroft import`: imports another shop's catalogue and orders.

mod progress;
mod source;
mod summary;
mod trial_store;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::progress::Progress;
use self::source::Source;
use self::trial_store::TrialStore;
use super::{
    CliError,
    open_store::{currency, open_or_set_up},
    private_file::check_output,
    signals::interruptible,
    terminal::stdout,
    verbosity::Verbosity,
};
use crate::{
    application::import::{
        readers::{DecimalMark, Encoding, Format, Marks, Options},
        report::Report,
        run::{ImportError, check, import},
        write_options::ExistingProducts,
    },
    domain::money::Currency,
    infrastructure::repositories::copy::CopyError,
    settings::Settings,
};

/// The arguments of `import`.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Import {
    /// The file to import; `-` is standard input
    file: PathBuf,
    /// The format: shopify or woocommerce (an export of products, with their categories), online-retail (orders, with
    /// their products and customers), or json-lines (what `export` writes, without orders, invoices, reviews and
    /// subscriptions) [default: detected by the first line]
    #[arg(long)]
    format: Option<Format>,
    /// The encoding of a file without a byte order mark, such as windows-1252 [default: detected by the whole file]
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// The decimal mark of numbers such as 1.234, `.` or `,` [default: that of the other numbers of the column; such a
    /// number is rejected if there are none]
    #[arg(long, value_name = "MARK")]
    decimal_mark: Option<DecimalMark>,
    /// The currency of the prices, such as EUR; needed if the format does not contain it (Shopify, WooCommerce)
    #[arg(long, value_name = "CODE")]
    currency: Option<Currency>,
    /// The new file for rejected lines, each with the reason [default: NAME.rejected.csv in this folder, or the first
    /// free of NAME.rejected-2.csv, …; NAME is `stdin` for standard input]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What happens to a variant whose SKU another variant of the file has: its line is rejected, or its SKU gets a
    /// suffix (-2, -3, …)
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    duplicate_skus: DuplicateSkus,
    /// Take the texts, prices, stock and new variants of products that are in the store already; nothing is removed
    #[arg(long)]
    update: bool,
    /// Import into a temporary copy of the store, and print the report that an import would print; the store stays as
    /// it is
    #[arg(long)]
    dry_run: bool,
    /// Exit with code 3 if any line was rejected
    #[arg(long)]
    strict: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// What happens to a variant whose SKU another variant of the file has.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
enum DuplicateSkus {
    #[default]
    Reject,
    Suffix,
}

/// The outcome of an import, as JSON with `--json`.
#[derive(Debug, Serialize)]
struct Imported {
    #[serde(flatten)]
    report: Report,
    /// Whether the store stays as it was.
    dry_run: bool,
    /// What happened to products that were in the store.
    #[serde(skip)]
    existing: ExistingProducts,
    /// The currency that the store shows if a request names none.
    #[serde(skip)]
    currency: Currency,
    /// Whether the import set that currency.
    #[serde(skip)]
    is_new_currency: bool,
    #[serde(skip)]
    took: Duration,
}

impl Import {
    /// Imports the file. A file that cannot be read to its end changes nothing, and neither does a repeated import.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let source = Source::at(&self.file)?;
        interruptible(async |stop| self.import_source(&source, &settings, stop).await).await
    }

    /// Imports the file until `stop` is cancelled, and prints the report.
    async fn import_source(
        &self,
        source: &Source,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Result<(), CliError> {
        let rejects = self.rejects.clone().unwrap_or_else(|| source.default_rejects());
        check_output(&rejects, &settings.database)?;
        let mut progress = Progress::new(rejects, self.verbosity.progress_bar(), stop);
        // the future of an import is large
        let imported = Box::pin(self.import(source, settings, &mut progress)).await;
        let interrupted = progress.interrupted();
        let rejects = progress.finish(imported.is_ok());
        let imported = imported.map_err(|error| match (error, interrupted) {
            (error, Some(_)) if !is_stop(&error) => error,
            (_, Some(_)) if self.dry_run => {
                CliError::Interrupted("a dry run; the store stays as it was".into())
            }
            (_, Some(interrupted)) => CliError::Interrupted(interrupted),
            (error, None) => error,
        })?;

        self.print(&imported, source.name(), rejects?.as_deref())?;
        let rejected = &imported.report.totals.rejected;
        if !rejected.not_imported.is_empty() {
            let types: Vec<_> = rejected.not_imported.keys().map(String::as_str).collect();
            return Err(CliError::NotImported(types.join(", ")));
        }
        if self.strict && rejected.lines > 0 {
            return Err(CliError::Rejected(rejected.lines));
        }
        Ok(())
    }

    async fn import(
        &self,
        source: &Source,
        settings: &Settings,
        progress: &mut Progress,
    ) -> Result<Imported, CliError> {
        let failed = |error| source.failed(error);
        let open = || source.open();
        let checked = check(open, &self.options(source, settings), progress).map_err(failed)?;
        let trial =
            if self.dry_run { Some(TrialStore::copy_of(settings, progress.stop()).await?) } else { None };
        let settings = trial.as_ref().map_or(settings, |trial| &trial.settings);
        let store = open_or_set_up(settings, "import").await?;

        let started = Instant::now();
        let existing = if self.update { ExistingProducts::Update } else { ExistingProducts::Keep };
        let report = import(&store, open, checked, existing, progress).await.map_err(failed)?;
        let currency = currency(&settings.store, store.database()).await?;
        Ok(Imported {
            report,
            dry_run: self.dry_run,
            existing,
            currency,
            is_new_currency: currency != store.terms.default_currency,
            took: started.elapsed(),
        })
    }

    /// Returns how the file is read.
    fn options(&self, source: &Source, settings: &Settings) -> Options {
        Options {
            format: self.format,
            encoding: self.encoding,
            marks: Marks { prices: self.decimal_mark, quantities: self.decimal_mark },
            currency: self.currency,
            suffix_duplicate_skus: self.duplicate_skus == DuplicateSkus::Suffix,
            created_at: source.modified_at(),
            base_language: settings.store.base_language,
        }
    }

    /// Prints the report, as JSON or as text.
    fn print(&self, imported: &Imported, name: &Path, rejects: Option<&Path>) -> Result<(), CliError> {
        if self.json {
            // a map with text keys can always be written as JSON
            let text = serde_json::to_string(imported).unwrap_or_default();
            return writeln!(stdout(), "{text}").map_err(CliError::Output);
        }
        self.verbosity.print(&summary::of(imported, name, rejects))
    }
}

/// Returns whether the import ended because it was stopped.
fn is_stop(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Import { source: ImportError::Observer(_), .. } | CliError::Copy(CopyError::Stopped)
    )
}
