-- those that are due are read for each payment provider
DROP INDEX subscriptions_due;
CREATE INDEX subscriptions_due ON subscriptions (next_charge_at, provider) WHERE next_charge_at IS NOT NULL;
-- how often a discount was redeemed is counted, and one that was not is removed
CREATE INDEX discount_uses_by_discount ON discount_uses (discount_id);
-- the orders that were paid on a day
CREATE INDEX invoices_by_time ON invoices (issued_at);
