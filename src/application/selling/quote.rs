//! Quotes: prices, discount, shipping and tax of carts and orders. No other module computes them.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::domain::cart::CartLine;
use crate::domain::country::Country;
use crate::domain::discount::Discount;
use crate::domain::ids::{CategoryId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::pricing::{LineInput, Priced, PricingInput, ShippingInput, price};
use crate::domain::product::{BillingInterval, ProductKind};
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};
use crate::infrastructure::exceptions::{
    Failure, Fault, InvalidDiscountCodeException, Location, ValidationException,
};
use crate::infrastructure::repositories::{
    CategoryRepository, Connection, DiscountRepository, Offer, ProductRepository, ShippingRepository,
    TaxRepository,
};

/// What the quote of a list of lines depends on beside the lines.
#[derive(Debug, Clone, Copy)]
pub struct QuoteRequest<'a> {
    /// The time at which prices and discounts apply.
    pub now: Timestamp,
    /// The currency.
    pub currency: Currency,
    /// The discount code.
    pub discount_code: Option<&'a str>,
    /// The discount with this code, or that there is none, if a cache has been asked: then only its uses are read from
    /// the database. `None` for what is charged.
    pub kept_discount: Option<Option<&'a Discount>>,
    /// The country whose tax rules and shipping rates apply.
    pub country: Country,
    /// The shipping method.
    pub shipping: &'a ShippingChoice,
}

/// A line to be priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteLine {
    /// The variant.
    pub variant_id: VariantId,
    /// The number of pieces.
    pub quantity: i64,
    /// The price of one piece.
    pub price: LinePrice,
}

impl From<CartLine> for QuoteLine {
    /// Returns a line of a cart at the variant's price.
    fn from(CartLine { variant_id, quantity }: CartLine) -> Self {
        Self { variant_id, quantity, price: LinePrice::Current }
    }
}

/// The price of one piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinePrice {
    /// The variant's price; the variant must be for sale.
    Current,
    /// The price at which a subscription is renewed; the variant must be for sale.
    Agreed {
        /// The price of one piece.
        unit_price: Money,
        /// The interval of the subscription.
        interval: BillingInterval,
    },
    /// A price that was paid outside the store, tax included, whether or not the variant is for sale.
    Paid(Money),
}

impl LinePrice {
    /// Returns the price of one piece of the offer; `None` if it is not for sale in this currency.
    fn of(self, offer: &Offer, currency: Currency) -> Option<Money> {
        match self {
            Self::Paid(price) => Some(price),
            _ if !offer.active => None,
            Self::Agreed { unit_price, .. } => Some(unit_price),
            Self::Current => offer.prices.get(&currency).map(|&amount| Money::new(amount, currency)),
        }
    }

    /// Returns the interval at which the line is charged again. A sale outside the store begins no subscription.
    pub(super) fn billing_interval(self, offer: &Offer) -> Option<BillingInterval> {
        match self {
            Self::Current => offer.billing_interval,
            Self::Agreed { interval, .. } => Some(interval),
            Self::Paid(_) => None,
        }
    }
}

/// The choice of a shipping method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingChoice {
    /// The cheapest method that delivers to the country.
    Cheapest,
    /// The method with this code.
    Method(String),
    /// The method with this code if it delivers to the country, otherwise the cheapest that does.
    Preferred(String),
    /// Shipping is not charged: it was agreed outside the store.
    NotCharged,
}

impl ShippingChoice {
    /// Returns the method with this code; the cheapest if `None`.
    pub fn method(code: Option<&str>) -> Self {
        code.map_or(Self::Cheapest, |code| Self::Method(code.to_owned()))
    }

    /// Returns the method with this code if it delivers to the country; the cheapest if not, or if `None`.
    pub fn preferred(code: Option<&str>) -> Self {
        code.map_or(Self::Cheapest, |code| Self::Preferred(code.to_owned()))
    }
}

/// The price of a list of lines.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The amounts of each line and the totals.
    pub priced: Priced,
    /// The offers of the lines, in the order of the lines.
    pub offers: Vec<Offer>,
    /// The discount, if its code applies.
    pub discount: Option<Discount>,
    /// The reason why the discount code does not apply.
    pub refused_discount: Option<InvalidDiscountCodeException>,
    /// The shipping method.
    pub shipping: Option<ShippingMethod>,
    /// The shipping methods that deliver to the country, each with its price.
    pub shipping_methods: Vec<(ShippingMethod, Money)>,
    /// Whether the order is shipped and no method delivers to the country.
    pub undeliverable: bool,
}

/// Computes the quote of a list of lines. A discount code that does not apply is not an error: the quote has the
/// reason.
pub async fn quote(
    connection: &mut Connection,
    request: QuoteRequest<'_>,
    lines: &[QuoteLine],
) -> Result<Quote, Failure> {
    quote_ahead(connection, request);
    let offers = offers(connection, lines).await?;
    quote_offers(connection, request, lines, offers).await
}

/// Sends the queries of [`quote_offers`] ahead, together with the next statement.
pub(super) fn quote_ahead(connection: &mut Connection, request: QuoteRequest<'_>) {
    TaxRepository(connection).for_country_ahead(request.country);
    match (request.discount_code, request.kept_discount) {
        (_, Some(Some(kept))) if kept.usage_limit.is_some() => {
            DiscountRepository(connection).uses_ahead(kept.id);
        }
        (_, Some(_)) | (None, None) => {}
        (Some(code), None) => DiscountRepository(connection).by_code_ahead(code),
    }
    if *request.shipping != ShippingChoice::NotCharged {
        ShippingRepository(connection).active_ahead();
    }
}

/// Computes the quote of a list of lines from their offers, which are in the order of the lines.
pub(super) async fn quote_offers(
    connection: &mut Connection,
    request: QuoteRequest<'_>,
    requested: &[QuoteLine],
    offers: Vec<Offer>,
) -> Result<Quote, Failure> {
    let rules = TaxRepository(connection).for_country(request.country).await?;
    let classes = category_classes(connection, &offers).await?;
    let mut lines = Vec::with_capacity(offers.len());
    let mut faults = ValidationException::none();
    for (i, (line, offer)) in requested.iter().zip(&offers).enumerate() {
        let Some(unit_price) = line.price.of(offer, request.currency) else {
            faults.add(Location::Item(i, "variant_id"), Fault::NotFound);
            continue;
        };
        let mut tax = rate(&rules, &tax_class(offer, &classes));
        tax.inclusive |= matches!(line.price, LinePrice::Paid(_));
        lines.push(LineInput { variant_id: line.variant_id, unit_price, quantity: line.quantity, tax });
    }
    faults.check()?;

    let mut input = PricingInput { currency: request.currency, lines, discount: None, shipping: None };
    let goods = input.subtotal()?;
    let (discount, refused_discount) = discount(connection, request, goods).await?;
    input.discount = discount.as_ref();
    let shipped = offers.iter().any(|offer| offer.kind != ProductKind::Digital);
    let shipping_options = if shipped {
        shipping_options(connection, request, goods).await?
    } else {
        ShippingOptions::default()
    };
    let undeliverable = shipping_options.undeliverable();
    let shipping = chosen(&shipping_options, request)?;
    input.shipping = shipping
        .as_ref()
        .map(|(method, amount)| ShippingInput { amount: *amount, tax: rate(&rules, &method.tax_class) });
    let priced = price(&input)?;
    Ok(Quote {
        priced,
        offers,
        discount,
        refused_discount,
        shipping: shipping.map(|(method, _)| method),
        shipping_methods: shipping_options.priced,
        undeliverable,
    })
}

/// Returns the offers of the lines, in the order of the lines.
async fn offers(connection: &mut Connection, lines: &[QuoteLine]) -> Result<Vec<Offer>, Failure> {
    let mut wanted: Vec<VariantId> = lines.iter().map(|line| line.variant_id).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found = ProductRepository(connection).offers(&wanted).await?;
    let mut faults = ValidationException::none();
    let mut offers = Vec::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        match found.iter().find(|offer| offer.variant_id == line.variant_id) {
            Some(offer) => offers.push(offer.clone()),
            None => faults.add(Location::Item(i, "variant_id"), Fault::NotFound),
        }
    }
    faults.check()?;
    Ok(offers)
}

/// Returns the tax classes of the categories whose products have none of their own.
async fn category_classes(
    connection: &mut Connection,
    offers: &[Offer],
) -> Result<HashMap<CategoryId, TaxClass>, Failure> {
    let without = offers.iter().filter(|offer| offer.tax_class.is_none());
    let wanted: BTreeSet<_> = without.filter_map(|offer| offer.category_id).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    Ok(CategoryRepository(connection).tax_classes(&wanted).await?)
}

/// Returns the product's own tax class, or that of its category.
fn tax_class(offer: &Offer, of_categories: &HashMap<CategoryId, TaxClass>) -> TaxClass {
    let of_category = || of_categories.get(&offer.category_id?).cloned();
    offer.tax_class.clone().or_else(of_category).unwrap_or_default()
}

/// Returns the rate of a tax class; zero without a tax rule for the class.
fn rate(rules: &[TaxRule], class: &TaxClass) -> TaxRate {
    rules.iter().find(|rule| rule.tax_class == *class).map_or(TaxRate::NONE, |rule| rule.rate)
}

/// Returns the discount with the requested code, or the reason why the code does not apply.
async fn discount(
    connection: &mut Connection,
    request: QuoteRequest<'_>,
    goods: Money,
) -> Result<(Option<Discount>, Option<InvalidDiscountCodeException>), Failure> {
    let Some(code) = request.discount_code else { return Ok((None, None)) };
    let refused = |reason| InvalidDiscountCodeException { discount_code: code.to_owned(), reason };
    let mut discounts = DiscountRepository(connection);
    let found = match request.kept_discount {
        Some(None) => None,
        Some(Some(kept)) if kept.usage_limit.is_none() => Some(kept.clone()),
        Some(Some(kept)) => discounts.uses(kept.id).await?.map(|used| Discount { used, ..kept.clone() }),
        None => discounts.by_code(code).await?,
    };
    let Some(discount) = found else { return Ok((None, Some(refused(None)))) };
    match discount.applies(request.now, goods) {
        Ok(()) => Ok((Some(discount), None)),
        Err(reason) => Ok((None, Some(refused(Some(reason))))),
    }
}

/// The active shipping methods; with their prices if they deliver to the country of the request.
#[derive(Default)]
struct ShippingOptions {
    priced: Vec<(ShippingMethod, Money)>,
    /// The active shipping methods without a rate for the country and the currency.
    without_rate: Vec<ShippingMethod>,
}

impl ShippingOptions {
    /// Returns whether the store has shipping methods, and none delivers to the country. A store without shipping
    /// methods does not charge for shipping.
    fn undeliverable(&self) -> bool {
        !self.without_rate.is_empty() && self.priced.is_empty()
    }
}

async fn shipping_options(
    connection: &mut Connection,
    request: QuoteRequest<'_>,
    goods: Money,
) -> Result<ShippingOptions, Failure> {
    if *request.shipping == ShippingChoice::NotCharged {
        return Ok(ShippingOptions::default());
    }
    let mut options = ShippingOptions::default();
    for method in ShippingRepository(connection).active().await? {
        match method.price(request.country, goods) {
            Some(price) => options.priced.push((method, price)),
            None => options.without_rate.push(method),
        }
    }
    Ok(options)
}

/// Returns the chosen shipping method with its price. A store without shipping methods ignores the choice.
fn chosen(
    ShippingOptions { priced, without_rate }: &ShippingOptions,
    request: QuoteRequest<'_>,
) -> Result<Option<(ShippingMethod, Money)>, Failure> {
    let cheapest = || priced.iter().min_by_key(|(_, price)| price.amount).cloned();
    let with_code = |code: &str| priced.iter().find(|(method, _)| method.code == code).cloned();
    let code = match request.shipping {
        ShippingChoice::Cheapest | ShippingChoice::NotCharged => return Ok(cheapest()),
        ShippingChoice::Preferred(code) => return Ok(with_code(code).or_else(cheapest)),
        ShippingChoice::Method(code) => code,
    };
    if priced.is_empty() && without_rate.is_empty() {
        return Ok(None);
    }
    if let Some(found) = with_code(code) {
        return Ok(Some(found));
    }
    let fault = if without_rate.iter().any(|method| method.code == *code) {
        Fault::DoesNotShip { country: request.country, currency: request.currency }
    } else {
        Fault::NotFound
    };
    Err(ValidationException::one("/shipping_method", fault).into())
}
