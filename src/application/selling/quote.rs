//! Quotes: the one place where prices, discount, shipping and tax are computed, for a cart as for an order.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::country::Country;
use crate::domain::discount::Discount;
use crate::domain::ids::{CategoryId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::pricing::{LineInput, Priced, PricingInput, ShippingInput, price};
use crate::domain::product::ProductKind;
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};
use crate::infrastructure::exceptions::{Failure, Fault, InvalidDiscountCodeException, ValidationException};
use crate::infrastructure::repositories::{
    CartRepository, CategoryRepository, Connection, DiscountRepository, Offer, ShippingRepository,
    TaxRepository,
};

/// A request for a quote.
#[derive(Debug, Clone)]
pub struct QuoteRequest<'a> {
    /// The time at which prices and discounts apply.
    pub now: Timestamp,
    /// The currency.
    pub currency: Currency,
    /// The variants with their quantities.
    pub lines: &'a [QuoteLine],
    /// The discount code.
    pub discount_code: Option<&'a str>,
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
    /// The price of one piece, tax included, of an imported order; otherwise the variant's price applies.
    pub agreed_price: Option<Money>,
}

/// The choice of a shipping method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingChoice {
    /// The cheapest method that delivers to the country.
    Cheapest,
    /// The method with this code.
    Method(String),
    /// Shipping is not charged: it was agreed outside the store.
    Settled,
}

/// The price of a list of lines.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The amounts, line by line and in all.
    pub priced: Priced,
    /// What was known of each line's variant.
    pub offers: Vec<Offer>,
    /// The discount, if its code applies.
    pub discount: Option<Discount>,
    /// Why the code does not apply.
    pub refused_discount: Option<InvalidDiscountCodeException>,
    /// The shipping method.
    pub shipping: Option<ShippingMethod>,
    /// Whether the order is shipped and no method delivers to the country.
    pub unreachable: bool,
}

/// Prices a request. A code that does not apply is told in the quote: whether that is an error is the caller's to say.
pub async fn quote(connection: &mut Connection, request: &QuoteRequest<'_>) -> Result<Quote, Failure> {
    quote_ahead(connection, request.country, request.discount_code, request.shipping);
    let offers = offers(connection, request.lines).await?;
    quote_offers(connection, request, offers).await
}

/// Sends for what [`quote_offers`] reads, together with the next statement.
pub(super) fn quote_ahead(
    connection: &mut Connection,
    country: Country,
    discount_code: Option<&str>,
    shipping: &ShippingChoice,
) {
    TaxRepository(connection).for_country_ahead(country);
    if let Some(code) = discount_code {
        DiscountRepository(connection).by_code_ahead(code);
    }
    if *shipping != ShippingChoice::Settled {
        ShippingRepository(connection).active_ahead();
    }
}

/// Prices a request of which it is known what each line's variant is.
pub async fn quote_offers(
    connection: &mut Connection,
    request: &QuoteRequest<'_>,
    offers: Vec<Offer>,
) -> Result<Quote, Failure> {
    let rules = TaxRepository(connection).for_country(request.country).await?;
    let mut classes = HashMap::new();
    let mut lines = Vec::with_capacity(offers.len());
    let mut faults = ValidationException::none();
    for (i, (line, offer)) in request.lines.iter().zip(&offers).enumerate() {
        let own = offer.prices.get(&request.currency).map(|&amount| Money::new(amount, request.currency));
        let Some(unit_price) = line.agreed_price.or(own.filter(|_| offer.active)) else {
            faults.add(format!("/items/{i}/variant_id"), Fault::NoSuchThing);
            continue;
        };
        let mut tax = rate(&rules, &tax_class(connection, offer, &mut classes).await?);
        tax.inclusive |= line.agreed_price.is_some();
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
    let unreachable = shipping_options.unreachable();
    let shipping = chosen(shipping_options, request.shipping)?;
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
        unreachable,
    })
}

/// What is known of each line's variant, in the order of the lines.
async fn offers(connection: &mut Connection, lines: &[QuoteLine]) -> Result<Vec<Offer>, Failure> {
    let mut wanted: Vec<VariantId> = lines.iter().map(|line| line.variant_id).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found = CartRepository(connection).offers(&wanted).await?;
    let mut faults = ValidationException::none();
    let mut offers = Vec::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        match found.iter().find(|offer| offer.variant_id == line.variant_id) {
            Some(offer) => offers.push(offer.clone()),
            None => faults.add(format!("/items/{i}/variant_id"), Fault::NoSuchThing),
        }
    }
    faults.check()?;
    Ok(offers)
}

/// The product's own tax class, or that of the nearest category above it that has one; each category is asked once.
async fn tax_class(
    connection: &mut Connection,
    offer: &Offer,
    known: &mut HashMap<CategoryId, TaxClass>,
) -> Result<TaxClass, Failure> {
    let (None, Some(category)) = (&offer.tax_class, offer.category_id) else {
        return Ok(offer.tax_class.clone().unwrap_or_default());
    };
    if let Some(class) = known.get(&category) {
        return Ok(class.clone());
    }
    let class = CategoryRepository(connection).tax_class(category).await?.unwrap_or_default();
    known.insert(category, class.clone());
    Ok(class)
}

/// The rate of a class; a country without a rule for it takes no tax.
fn rate(rules: &[TaxRule], class: &TaxClass) -> TaxRate {
    rules.iter().find(|rule| rule.tax_class == *class).map_or(TaxRate::NONE, |rule| rule.rate)
}

/// The discount that a code stands for, or why it does not apply.
async fn discount(
    connection: &mut Connection,
    request: &QuoteRequest<'_>,
    goods: Money,
) -> Result<(Option<Discount>, Option<InvalidDiscountCodeException>), Failure> {
    let Some(code) = request.discount_code else { return Ok((None, None)) };
    let refused = |refusal| InvalidDiscountCodeException { discount_code: code.to_owned(), refusal };
    let Some(discount) = DiscountRepository(connection).by_code(code).await? else {
        return Ok((None, Some(refused(None))));
    };
    match discount.applies(request.now, goods) {
        Ok(()) => Ok((Some(discount), None)),
        Err(refusal) => Ok((None, Some(refused(Some(refusal))))),
    }
}

/// The ways of shipping that go there, with their prices.
#[derive(Default)]
struct ShippingOptions {
    priced: Vec<(ShippingMethod, Money)>,
    known: usize,
}

impl ShippingOptions {
    /// Whether the store ships, but not there. One that has no ways at all does not charge for them.
    fn unreachable(&self) -> bool {
        self.known > 0 && self.priced.is_empty()
    }
}

async fn shipping_options(
    connection: &mut Connection,
    request: &QuoteRequest<'_>,
    goods: Money,
) -> Result<ShippingOptions, Failure> {
    if *request.shipping == ShippingChoice::Settled {
        return Ok(ShippingOptions::default());
    }
    let methods = ShippingRepository(connection).active().await?;
    let known = methods.len();
    let priced = methods
        .into_iter()
        .filter_map(|method| method.price(request.country, goods).map(|price| (method, price)))
        .collect();
    Ok(ShippingOptions { priced, known })
}

/// The way that was chosen.
fn chosen(
    shipping_options: ShippingOptions,
    choice: &ShippingChoice,
) -> Result<Option<(ShippingMethod, Money)>, Failure> {
    match choice {
        ShippingChoice::Method(code) if shipping_options.known > 0 => {
            let way = shipping_options.priced.into_iter().find(|(method, _)| method.code == *code);
            way.map(Some)
                .ok_or_else(|| ValidationException::one("/shipping_method", Fault::NoSuchThing).into())
        }
        _ => Ok(shipping_options.priced.into_iter().min_by_key(|(_, price)| price.amount)),
    }
}
