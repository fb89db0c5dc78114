//! The time from start to the first response, and the memory of an idle server.

use std::time::Duration;

use crate::Outcome;
use crate::figures::{median, millis};
use crate::process::Server;
use crate::shop::folder;

/// The idle time before the memory of a server is read.
const REST: Duration = Duration::from_secs(1);

/// Measures both, on a new and on an existing store.
pub(crate) async fn measure(quick: bool) -> Outcome<()> {
    let starts = if quick { 3 } else { 10 };
    println!("start to first response (median of {starts}) and idle memory, one second after it");
    let (mut new, mut again, mut resident, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for start in 0..starts {
        let folder = folder()?;
        let (server, time) = Server::time_to_first_response(folder.path()).await?;
        new.push(millis(time));
        server.end().await?;
        let (server, time) = Server::time_to_first_response(folder.path()).await?;
        again.push(millis(time));
        if start < 3 {
            tokio::time::sleep(REST).await;
            let (all, private) = server.memory()?;
            resident.push(all);
            own.push(private);
        }
        server.end().await?;
    }
    println!("  in an empty folder   {:6.1} ms", median(new));
    println!("  on a store           {:6.1} ms", median(again));
    println!(
        "  idle                 {:6.1} MB resident, {:.1} MB of it private",
        median(resident),
        median(own)
    );
    Ok(())
}
