//! The binary: reads the command line and the settings, starts logging and the runtime, and runs the command.

use std::process::ExitCode;

use undercroft::{
    presentation::cli::{self, Cli, Exit, logging},
    settings,
};

fn main() -> ExitCode {
    let Cli { options, command } = match Cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let settings = match settings::load(options.config.as_deref(), settings::environment(), &options.flags())
    {
        Ok(settings) => settings,
        Err(error) => return cli::told(&error, Exit::Usage).into(),
    };
    logging::start(&settings.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::told(&error, Exit::Failed).into(),
    };
    let done = runtime.block_on(command.unwrap_or_default().run(settings));
    // what is still in the hands of a blocking thread ends with the process
    runtime.shutdown_background();
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => cli::told(&error, error.exit()).into(),
    }
}
