//! `undercroft import`: another shop's catalogue and history into this store.

mod summary;
mod watch;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use self::watch::Watch;
use super::{CliError, opening};
use crate::{
    application::import::{
        readers::{Format, Options},
        run::{ImportError, check, import},
    },
    domain::{context::Context, money::Currency},
    infrastructure::repositories::Setup,
    settings::Settings,
};

/// How much of the file is read at once.
const BUFFER: usize = 1 << 18;

/// The arguments of `import`.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// The file
    file: PathBuf,
    /// Its layout: online-retail, shopify, woocommerce or json-lines [default: by its first line]
    #[arg(long)]
    format: Option<Format>,
    /// The currency of its prices, where it does not say itself (Shopify, WooCommerce)
    #[arg(long, value_name = "CODE")]
    currency: Option<Currency>,
    /// Where lines that are not taken go, with the reason [default: NAME.rejected.csv in this folder]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// End with code 3 if any line was rejected
    #[arg(long)]
    strict: bool,
    /// Print the account as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    /// Reads the whole file first: one that is broken changes nothing. Done again, it changes nothing either.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let told = |source| CliError::Import { file: self.file.clone(), source };
        let options = Options {
            format: self.format,
            currency: self.currency,
            created_at: self.modified_at(),
            ..Options::default()
        };
        let open = || open(&self.file);
        let mut watch =
            Watch::new(&self.file, self.rejects.clone().unwrap_or_else(|| rejects_of(&self.file)));
        let mut started = Instant::now();
        let report = async {
            let checked = check(open, &options, &mut watch).map_err(told)?;
            let store = opening::open(&settings, Setup::IfEmpty).await?;
            started = Instant::now();
            import(&store, open, &options, checked, &mut watch).await.map_err(told)
        }
        .await;
        let rejects = watch.finish().map_err(|error| told(ImportError::Observer(error)))?;
        let report = report?;

        let text = if self.json {
            // maps with text keys always have a JSON form
            serde_json::to_string(&report).unwrap_or_default()
        } else {
            summary::of(&report, &self.file, rejects.as_deref(), started.elapsed())
        };
        writeln!(stdout(), "{text}").map_err(CliError::Output)?;
        match report.totals.rejected.lines {
            rejected @ 1.. if self.strict => Err(CliError::Rejected(rejected)),
            _ => Ok(()),
        }
    }

    /// What has no date of its own is as old as the file: so an import comes out alike wherever and whenever it is done.
    fn modified_at(&self) -> Timestamp {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        let whole = modified.and_then(|time| Timestamp::from_microsecond(time.as_microsecond()).ok());
        whole.unwrap_or_else(|| Context::system().clock.now())
    }
}

/// Opens a file, which is read twice: a pipe would be empty then.
fn open(file: &Path) -> io::Result<BufReader<File>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file, and it is read twice"));
    }
    Ok(BufReader::with_capacity(BUFFER, File::open(file)?))
}

/// Where the rejected lines of a file go, if nothing else is said: the folder of the file may not be ours to write to.
fn rejects_of(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(".rejected.csv");
    name.into()
}
