//! Requests over HTTP to a server in its own process, so that its CPU time is separate from the clients'.

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use undercroft::domain::context::Context;
use undercroft::domain::ids::VariantId;

use crate::Outcome;
use crate::figures::{each, median, percentile, rate};
use crate::load::{self, CONNECTIONS, Caller, Shopper};
use crate::process::{Server, UNLIMITED};
use crate::schema::Schema;
use crate::shop::{Shop, folder};

/// The aim for a product that is not in memory: 1.2 times a read without a cache, which took 4.9 times the CPU of bare
/// axum before there were caches.
const MISS: f64 = 1.2 * 4.9;

/// The duration of the measurement.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    span: Duration,
}

/// The results of an operation by round.
#[derive(Default)]
struct Figures {
    a_second: Vec<f64>,
    cpu: Vec<f64>,
    times: Vec<Duration>,
}

/// Measures the store on SQLite beside bare axum, and on PostgreSQL if a URL is given.
pub(crate) async fn measure(quick: bool, postgres: Option<&str>) -> Outcome<()> {
    let effort = if quick {
        Effort { rounds: 2, span: Duration::from_millis(600) }
    } else {
        Effort { rounds: 7, span: Duration::from_secs(2) }
    };
    let folder = folder()?;
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    println!("HTTP on SQLite, {CONNECTIONS} connections (medians of {} rounds)", effort.rounds);
    serve(folder.path(), &url, effort).await?;
    if let Some(url) = postgres {
        let schema = Schema::make(url).await?;
        println!("HTTP on PostgreSQL, {CONNECTIONS} connections; the database's own CPU is not counted");
        let measured = serve(folder.path(), &schema.url, effort).await;
        schema.remove().await?;
        measured?;
    }
    Ok(())
}

/// Fills the database at `url`, serves the store and measures it.
async fn serve(folder: &Path, url: &str, effort: Effort) -> Outcome<()> {
    let Shop { products, variants, .. } = Shop::open(url).await?;
    let server = Server::store(folder, Some(url)).await?;
    let paths: Vec<_> = products.iter().map(|id| format!("/v1/products/{id}")).collect();
    let file = folder.join("product.json");
    std::fs::write(&file, Caller::new(server.address).get(&paths[0]).await?)?;
    let bare = Server::bare(&file).await?;

    println!("                          a second    p50 ms    p99 ms   CPU ms each   aim");
    let readers = |address| Reader::each(address, &paths);
    let mut product = [Figures::default(), Figures::default()];
    let mut both = [(&server, readers(server.address)), (&bare, readers(bare.address))];
    for round in 0..=effort.rounds {
        for ((server, shoppers), figures) in both.iter_mut().zip(&mut product) {
            figures.add(round, server, shoppers, effort.span).await?;
        }
    }
    let [mut store, mut bare] = product;
    store.print("product by id", "≤ 0.03");
    bare.print("bare axum, same bytes", "");
    println!(
        "    of bare axum: {:.2} times the CPU, {:.2} times the throughput",
        store.ratio(&bare, |figures| &figures.cpu),
        store.ratio(&bare, |figures| &figures.a_second)
    );
    let uncached =
        Server::store_with(folder, Some(url), &[UNLIMITED, ("CACHES__LIMIT_BYTES__PRODUCT", "0")]).await?;
    run(&uncached, readers(uncached.address), effort).await?.print_beside(&bare, "product, not kept", MISS);
    uncached.end().await?;
    for (name, path, aim) in [
        ("list of 20", "/v1/products?limit=20", 4.0),
        ("search, repeated", "/v1/products?q=oak+chair&limit=20", 4.0),
        ("category tree", "/v1/categories", 4.0),
    ] {
        let readers = Reader::each(server.address, &[path.to_owned()]);
        run(&server, readers, effort).await?.print_beside(&bare, name, aim);
    }
    let readers = Reader::with_gzip(server.address, "/v1/products?limit=20");
    run(&server, readers, effort).await?.print_beside(&bare, "list of 20, gzip", 4.0);
    let carts = Adder::each(server.address, &variants).await?;
    run(&server, carts, effort).await?.print_beside(&bare, "add to cart", 15.0);
    let buyers = Buyer::each(server.address, &variants);
    run(&server, buyers, effort).await?.print_beside(&bare, "whole order", 80.0);
    server.end().await?;
    refusals(folder, url, &paths[0], effort).await
}

/// Measures requests that are refused by a rate limit and for overload, beside bare axum's response to an unknown path.
async fn refusals(folder: &Path, url: &str, path: &str, effort: Effort) -> Outcome<()> {
    let limited = Server::store_with(folder, Some(url), &[("RATE_LIMITS__GENERAL", "1/day")]).await?;
    Caller::new(limited.address).expect(path, 200).await?;
    let (overloaded, bare) = (Server::refusing().await?, Server::bare(&folder.join("product.json")).await?);
    let refused = |server: &Server, path, status| Refused::each(server.address, path, status);
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

/// Runs the shoppers for all rounds.
async fn run<S: Shopper>(server: &Server, mut shoppers: Vec<S>, effort: Effort) -> Outcome<Figures> {
    let mut figures = Figures::default();
    for round in 0..=effort.rounds {
        figures.add(round, server, &mut shoppers, effort.span).await?;
    }
    Ok(figures)
}

impl Figures {
    /// Adds a round; the first one only warms up.
    async fn add<S: Shopper>(
        &mut self,
        round: usize,
        server: &Server,
        shoppers: &mut Vec<S>,
        span: Duration,
    ) -> Outcome<()> {
        let before = server.cpu()?;
        let (load, back) = load::run(std::mem::take(shoppers), span).await?;
        let cpu = server.cpu()?.saturating_sub(before);
        *shoppers = back;
        if round > 0 {
            self.a_second.push(rate(load.times.len(), load.elapsed));
            self.cpu.push(each(cpu, load.times.len()));
            self.times.extend(load.times);
        }
        Ok(())
    }

    /// Prints the figures, and the ratio of the CPU to that of bare axum.
    fn print_beside(&mut self, bare: &Self, name: &str, aim: f64) {
        let ratio = self.ratio(bare, |figures| &figures.cpu);
        self.print(name, &format!("{ratio:.1} times the CPU of bare axum (aim ≤ {aim})"));
    }

    fn print(&mut self, name: &str, aim: &str) {
        let (half, most) = (percentile(&mut self.times, 50), percentile(&mut self.times, 99));
        let (a_second, cpu) = (median(self.a_second.clone()), median(self.cpu.clone()));
        println!("  {name:<22}{a_second:10.0}{half:10.2}{most:10.2}{cpu:14.4}   {aim}");
    }

    /// The median of the ratios of the rounds.
    fn ratio(&self, to: &Self, figure: fn(&Self) -> &Vec<f64>) -> f64 {
        median(figure(self).iter().zip(figure(to)).map(|(own, other)| own / other))
    }
}

/// A shopper that reads one product after the other.
struct Reader {
    caller: Caller,
    paths: Vec<String>,
    at: usize,
}

impl Reader {
    fn each(address: std::net::SocketAddr, paths: &[String]) -> Vec<Self> {
        let reader = |number| Self { caller: Caller::new(address), paths: paths.to_vec(), at: number * 97 };
        (0..CONNECTIONS).map(reader).collect()
    }

    fn with_gzip(address: std::net::SocketAddr, path: &str) -> Vec<Self> {
        let reader = |_| Self { caller: Caller::with_gzip(address), paths: vec![path.to_owned()], at: 0 };
        (0..CONNECTIONS).map(reader).collect()
    }
}

impl Shopper for Reader {
    async fn run_once(&mut self) -> Outcome<()> {
        self.at = (self.at + 1) % self.paths.len();
        self.caller.get(&self.paths[self.at]).await.map(drop)
    }
}

/// A shopper whose requests have one status.
struct Refused {
    caller: Caller,
    path: String,
    status: u16,
}

impl Refused {
    fn each(address: std::net::SocketAddr, path: &str, status: u16) -> Vec<Self> {
        let refused = |_| Self { caller: Caller::new(address), path: path.to_owned(), status };
        (0..CONNECTIONS).map(refused).collect()
    }
}

impl Shopper for Refused {
    async fn run_once(&mut self) -> Outcome<()> {
        // the limiter for overload accepts requests at first, and a few after a pause
        for _ in 0..100_000 {
            if self.caller.status(&self.path).await? == self.status {
                return Ok(());
            }
        }
        Err(format!("{} is never {}", self.path, self.status).into())
    }
}

/// A shopper that changes the quantities of three lines of a cart.
struct Adder {
    caller: Caller,
    paths: Vec<String>,
    at: usize,
}

impl Adder {
    async fn each(address: std::net::SocketAddr, variants: &[VariantId]) -> Outcome<Vec<Self>> {
        let mut adders = Vec::new();
        for number in 0..CONNECTIONS {
            let mut caller = Caller::new(address);
            let cart = new_cart(&mut caller).await?;
            let chosen = variants.iter().skip(number * 101).step_by(7).take(3);
            let paths = chosen.map(|variant| format!("/v1/carts/{cart}/items/{variant}")).collect();
            adders.push(Self { caller, paths, at: 0 });
        }
        Ok(adders)
    }
}

impl Shopper for Adder {
    async fn run_once(&mut self) -> Outcome<()> {
        self.at += 1;
        let path = &self.paths[self.at % self.paths.len()];
        let body = json!({ "quantity": 1 + self.at % 9 }).to_string();
        self.caller.send(Method::PUT, path, body, None).await.map(drop)
    }
}

/// A shopper that creates a cart, adds a line and checks out.
struct Buyer {
    caller: Caller,
    variants: Vec<VariantId>,
    context: Context,
    at: usize,
}

impl Buyer {
    fn each(address: std::net::SocketAddr, variants: &[VariantId]) -> Vec<Self> {
        let buyer = |number| Self {
            caller: Caller::new(address),
            variants: variants.to_vec(),
            context: Context::system(),
            at: number * 101,
        };
        (0..CONNECTIONS).map(buyer).collect()
    }
}

impl Shopper for Buyer {
    async fn run_once(&mut self) -> Outcome<()> {
        self.at += 1;
        let variant = self.variants[self.at % self.variants.len()];
        let cart = new_cart(&mut self.caller).await?;
        let item = format!("/v1/carts/{cart}/items/{variant}");
        self.caller.send(Method::PUT, &item, json!({ "quantity": 1 }).to_string(), None).await?;
        let purchase = json!({
            "email": "ann@example.com",
            "shipping_address": {
                "name": "Ann Buyer", "line1": "Marktplatz 1", "city": "Bremen", "postal_code": "28195", "country": "DE"
            },
            "payment": { "provider": "sandbox", "token": "tok_ok" }
        });
        let key = self.context.ids.uuid().to_string();
        let path = format!("/v1/carts/{cart}/checkout");
        let order = self.caller.send(Method::POST, &path, purchase.to_string(), Some(&key)).await?;
        match serde_json::from_slice::<Value>(&order)?["status"].as_str() {
            Some("paid") => Ok(()),
            status => Err(format!("an order is {status:?}").into()),
        }
    }
}

/// Creates a cart and returns its id.
async fn new_cart(caller: &mut Caller) -> Outcome<String> {
    let cart = caller.send(Method::POST, "/v1/carts", "{}", None).await?;
    let cart: Value = serde_json::from_slice(&cart)?;
    Ok(cart["id"].as_str().ok_or("a cart without an id")?.to_owned())
}
