//! Requests that are refused.

use std::path::Path;

use super::rounds::{Effort, Figures};
use super::shoppers::WithStatus;
use crate::Outcome;
use crate::load::Caller;
use crate::process::{COUNTED, Server};

/// Measures requests that are refused by a rate limit and for overload, beside bare axum's response to an unknown path.
/// Both servers of the store have a log and metrics.
pub(super) async fn measure(folder: &Path, url: &str, path: &str, effort: Effort) -> Outcome<()> {
    let settings = [("RATE_LIMITS__GENERAL", "1/day"), COUNTED];
    let limited = Server::store_with(folder, Some(url), &settings).await?;
    Caller::new(limited.address).expect(path, 200).await?;
    let (overloaded, bare) =
        (Server::refusing(url).await?, Server::bare(&folder.join("product.json")).await?);
    let refused =
        |server: &Server, path, status| WithStatus::each(|| Caller::new(server.address), path, status);
    let mut all = [
        ("bare axum, 404", refused(&bare, "/none", 404), bare, Figures::default()),
        ("refused by a limit", refused(&limited, path, 429), limited, Figures::default()),
        ("refused for overload", refused(&overloaded, path, 503), overloaded, Figures::default()),
    ];
    for round in 0..=effort.rounds {
        for (_, shoppers, server, figures) in &mut all {
            figures.add(round, server, shoppers, effort.span).await?;
        }
    }
    for (name, _, _, figures) in &mut all {
        figures.print(name, "");
    }
    let [(.., bare), others @ ..] = &all;
    for (name, _, _, figures) in others {
        println!(
            "    {name}: {:.2} times the CPU of bare axum (aim ≤ 1.5)",
            figures.ratio(bare, |figures| &figures.cpu)
        );
    }
    Ok(())
}
