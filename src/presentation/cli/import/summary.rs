//! The report of an import as text.

use std::fmt::Write;
use std::path::Path;

use super::Imported;
use crate::application::import::readers::{Format, UnusedValues};
use crate::application::import::report::{Counts, StockCounts};
use crate::application::import::write_options::ExistingProducts;
use crate::domain::money::Currency;
use crate::presentation::cli::counted;

/// Returns the report of an import as text.
pub(super) fn of(imported: &Imported, file: &Path, rejects: Option<&Path>) -> String {
    let report = &imported.report;
    let totals = &report.totals;
    let amount = |minor: i128| report.currency.map_or_else(String::new, |currency| money(minor, currency));
    let mut text = format!("{} ({}, {})\n", file.display(), report.format, report.encoding);
    let whole = totals.accepted.amount + totals.rejected.amount;
    for (name, lines, minor) in [
        ("lines", totals.lines, whole),
        ("accepted", totals.accepted.lines, totals.accepted.amount),
        ("rejected", totals.rejected.lines, totals.rejected.amount),
    ] {
        line(&mut text, &format!("{name:<10}{lines:>10}{:>20}", amount(minor)));
    }
    for (reason, lines) in &totals.rejected.reasons {
        line(&mut text, &format!("  {lines:>6}  {reason}"));
    }
    for (r#type, lines) in &totals.rejected.not_imported {
        line(&mut text, &format!("not imported: {lines} of type {type}"));
    }
    if totals.rejected.unpriced > 0 && report.currency.is_some() {
        line(&mut text, &format!("rejected lines without an amount: {}", totals.rejected.unpriced));
    }
    line(&mut text, &format!("added: {}", listed(report.added)));
    if imported.existing == ExistingProducts::Update {
        line(&mut text, &format!("updated: {}", listed(report.updated)));
    }
    line(&mut text, &format!("unchanged: {}", listed(report.unchanged)));
    let notes = update_note(imported).into_iter().chain(currency_note(imported));
    for note in notes.chain(stock_notes(report.stock)).chain(value_notes(&report.unused_values)) {
        line(&mut text, &note);
    }
    if let Some(rejects) = rejects {
        let name = rejects.display();
        line(
            &mut text,
            &format!("the rejected lines are in {name}, each with the reason: correct them, and import"),
        );
        line(&mut text, "that file with the same options");
        if report.format == Format::OnlineRetail {
            line(&mut text, "an order that was imported without a rejected line stays as it is");
        }
    }
    if imported.dry_run {
        line(&mut text, "dry run: the store stays as it was");
    }
    let seconds = imported.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "an approximate speed")]
    let speed = if seconds > 0.0 { totals.lines as f64 / seconds } else { 0.0 };
    let _ = write!(text, "{seconds:.1} s, {speed:.0} lines per second");
    text
}

/// Returns how to take the changes of products that were in the store before.
fn update_note(imported: &Imported) -> Option<String> {
    let products = imported.report.unchanged.products;
    (products > 0 && imported.existing == ExistingProducts::Keep).then(|| {
        format!(
            "{} in the store before and stayed; --update takes their texts, prices, stock and new variants",
            counted(products, "product was", "products were")
        )
    })
}

/// Returns what to do about products that the store does not show, because they have no price in its currency, or that
/// the currency is a new one.
fn currency_note(imported: &Imported) -> Option<String> {
    let Imported { report, currency, .. } = imported;
    if imported.is_new_currency {
        return Some(format!(
            "the store had no products and now shows prices in {currency}; a running server does so after a restart \
             (to choose another currency: store.default_currency)"
        ));
    }
    let priced = report.prices.get(currency).copied().unwrap_or(0);
    let hidden = report.products().checked_sub(priced).filter(|n| *n > 0)?;
    let (other, _) = report.prices.iter().find(|(other, _)| *other != currency)?;
    Some(format!(
        "{} not shown: without a price in {currency}, the currency of the store. Set store.default_currency to \
         {other}, or request ?currency={other}",
        counted(hidden, "product is", "products are")
    ))
}

/// Returns where the stock of the variants that were added comes from.
fn stock_notes(stock: StockCounts) -> Vec<String> {
    let notes = [
        (stock.given, "the quantity in the file".to_owned()),
        (stock.missing, "without a quantity in the file: 0 pieces until the stock is set".to_owned()),
        (stock.not_counted, "not counted: always available".to_owned()),
        (
            stock.assumed,
            format!("assumed, not from the file: {} pieces of each", stock.assumed_pieces.unwrap_or(0)),
        ),
    ];
    let notes = notes.into_iter().filter(|(variants, _)| *variants > 0);
    notes
        .map(|(variants, note)| format!("stock of {}: {note}", counted(variants, "variant", "variants")))
        .collect()
}

/// Returns what happened to the values that the store does not use: those that are kept, and each column of others.
fn value_notes(values: &UnusedValues) -> Vec<String> {
    let kept = Some(values.kept.values().sum::<u64>()).filter(|kept| *kept > 0).map(|kept| {
        let columns = counted(values.kept.len() as u64, "column", "columns");
        format!("kept as metadata: {} of {columns}", counted(kept, "value", "values"))
    });
    let not_kept = values.not_kept.iter();
    let not_kept = not_kept.map(|(name, count)| format!("{name} ({})", counted(*count, "value", "values")));
    let not_kept: Vec<_> = not_kept.collect();
    let not_kept = (!not_kept.is_empty()).then(|| format!("not kept: {}", not_kept.join(", ")));
    kept.into_iter().chain(not_kept).collect()
}

/// Adds a line without trailing spaces.
fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Returns the counts that are not 0 with their names; a name before its number needs no singular.
fn listed(counts: Counts) -> String {
    let some: Vec<_> = counts
        .named()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if some.is_empty() { "nothing".to_owned() } else { some.join(", ") }
}

/// Returns an amount with its currency: `-1234.05 GBP`.
fn money(minor: i128, currency: Currency) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = currency.minor_digits();
    let unit = 10_u128.pow(digits);
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    match digits {
        0 => format!("{sign}{whole} {currency}"),
        digits => format!("{sign}{whole}.{rest:0width$} {currency}", width = digits as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_all_digits() {
        assert_eq!(money(-5, Currency::GBP), "-0.05 GBP");
        assert_eq!(money(123_456, Currency::EUR), "1234.56 EUR");
        assert_eq!(money(7, "JPY".parse().unwrap()), "7 JPY");
        assert_eq!(money(1, "KWD".parse().unwrap()), "0.001 KWD");
    }
}
