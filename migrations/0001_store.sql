-- The store's tables, one text for both engines. The runner translates the type names for SQLite:
--   UUID, BYTEA: BLOB · TIMESTAMPTZ: INTEGER (µs since 1970) · JSONB: TEXT · BOOLEAN, BIGINT: INTEGER
--   KEYTEXT: TEXT (on PostgreSQL TEXT COLLATE "C", so that both order by bytes) · SERIALKEY: an ascending key
-- A table that ends in `) /* clustered */;` is stored in its primary key's order where the database can.
-- The text between `-- sqlite:` or `-- postgres:` and `-- end` is for that engine alone.

CREATE TABLE store_settings (
    key KEYTEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE counters (
    name KEYTEXT PRIMARY KEY,
    value BIGINT NOT NULL CHECK (value >= 0)
);

-- people

CREATE TABLE users (
    id UUID PRIMARY KEY,
    email TEXT NOT NULL,
    email_key KEYTEXT NOT NULL CONSTRAINT users_email UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT,
    role TEXT NOT NULL CHECK (role IN ('customer', 'admin')),
    birth_date TEXT,
    email_verified_at TIMESTAMPTZ,
    erased_at TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX users_by_time ON users (created_at, id);
CREATE INDEX users_admins ON users (created_at, id) WHERE role = 'admin';

CREATE TABLE user_identities (
    provider KEYTEXT NOT NULL,
    subject KEYTEXT NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (provider, subject)
);
CREATE INDEX user_identities_by_user ON user_identities (user_id);

CREATE TABLE user_preferences (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    locale TEXT,
    currency TEXT,
    marketing_consent BOOLEAN NOT NULL,
    consent_at TIMESTAMPTZ,
    version BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE sessions (
    token_hash BYTEA PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- catalogue

CREATE TABLE categories (
    id UUID PRIMARY KEY,
    slug KEYTEXT NOT NULL CONSTRAINT categories_slug UNIQUE,
    name TEXT NOT NULL,
    parent_id UUID REFERENCES categories (id),
    position BIGINT NOT NULL,
    tax_class TEXT,
    translations JSONB NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK (parent_id <> id)
);
CREATE INDEX categories_by_parent ON categories (parent_id);

CREATE TABLE products (
    id UUID PRIMARY KEY,
    slug KEYTEXT NOT NULL CONSTRAINT products_slug UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    category_id UUID REFERENCES categories (id),
    kind TEXT NOT NULL CHECK (kind IN ('physical', 'digital', 'subscription')),
    billing_interval TEXT CHECK (billing_interval IN ('week', 'month', 'year')),
    minimum_age BIGINT CHECK (minimum_age BETWEEN 1 AND 120),
    tax_class TEXT,
    active BOOLEAN NOT NULL,
    options JSONB NOT NULL,
    translations JSONB NOT NULL,
    metadata JSONB NOT NULL,
    rating_sum BIGINT NOT NULL CHECK (rating_sum >= 0),
    rating_count BIGINT NOT NULL CHECK (rating_count >= 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK ((kind = 'subscription') = (billing_interval IS NOT NULL))
);
CREATE INDEX products_by_time ON products (created_at, id);
CREATE INDEX products_by_state ON products (active, created_at, id);
CREATE INDEX products_by_category ON products (category_id, id);

CREATE TABLE variants (
    id UUID NOT NULL UNIQUE,
    product_id UUID NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    sku KEYTEXT NOT NULL CONSTRAINT variants_sku UNIQUE,
    options JSONB NOT NULL,
    active BOOLEAN NOT NULL,
    prices JSONB NOT NULL,
    metadata JSONB NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (product_id, id)
) /* clustered */;

-- The rows of shoppers' lists: one for each active product, category above it (the nil UUID is the whole catalogue)
-- and currency it has a price in. With them a page of a million products costs as much as a page of ten.
CREATE TABLE listings (
    category_id UUID NOT NULL,
    currency KEYTEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    product_id UUID NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    amount BIGINT NOT NULL,
    PRIMARY KEY (category_id, currency, created_at, product_id)
) /* clustered */;
CREATE INDEX listings_by_price ON listings (category_id, currency, amount, product_id);
CREATE INDEX listings_by_product ON listings (product_id);

-- The names and prices by which a search ranks, and the words of each product, folded by the store so that both
-- engines find the same products. `seq` numbers the products in the order of their creation.
CREATE TABLE product_texts (
    seq SERIALKEY,
    product_id UUID NOT NULL UNIQUE REFERENCES products (id) ON DELETE CASCADE,
    category_id UUID,
    active BOOLEAN NOT NULL,
    names JSONB NOT NULL,
    prices JSONB NOT NULL,
    words TEXT NOT NULL
);

-- The products that contain each word; docs/decisions/0007-search-over-a-postings-table.md explains why this is a table.
CREATE TABLE product_words (
    word KEYTEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (word, seq)
) /* clustered */;

-- A variant whose pieces are not counted has no stock, and can always be reserved.
CREATE TABLE inventory (
    variant_id UUID PRIMARY KEY REFERENCES variants (id) ON DELETE CASCADE,
    stock BIGINT CHECK (stock >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    version BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT inventory_covers_reservations CHECK (reserved <= stock)
) /* clustered */;

CREATE TABLE reservations (
    order_id UUID NOT NULL,
    variant_id UUID NOT NULL REFERENCES inventory (variant_id),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, variant_id)
) /* clustered */;

CREATE TABLE reviews (
    id UUID PRIMARY KEY,
    product_id UUID NOT NULL REFERENCES products (id),
    user_id UUID NOT NULL REFERENCES users (id),
    rating BIGINT NOT NULL CHECK (rating BETWEEN 1 AND 5),
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT reviews_one_per_buyer UNIQUE (product_id, user_id)
);
CREATE INDEX reviews_by_product ON reviews (product_id, status, created_at, id);
CREATE INDEX reviews_by_status ON reviews (status, created_at, id);
CREATE INDEX reviews_by_user ON reviews (user_id, created_at, id);

-- taxes, shipping, discounts

CREATE TABLE tax_rules (
    country KEYTEXT NOT NULL,
    tax_class KEYTEXT NOT NULL,
    basis_points BIGINT NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    inclusive BOOLEAN NOT NULL,
    PRIMARY KEY (country, tax_class)
);

CREATE TABLE shipping_methods (
    id UUID PRIMARY KEY,
    code KEYTEXT NOT NULL CONSTRAINT shipping_methods_code UNIQUE,
    name TEXT NOT NULL,
    translations JSONB NOT NULL,
    tax_class TEXT NOT NULL,
    position BIGINT NOT NULL,
    active BOOLEAN NOT NULL,
    rates JSONB NOT NULL
);

CREATE TABLE discounts (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL,
    code_key KEYTEXT NOT NULL CONSTRAINT discounts_code UNIQUE,
    basis_points BIGINT CHECK (basis_points BETWEEN 1 AND 10000),
    amount BIGINT CHECK (amount > 0),
    amount_currency TEXT,
    minimum BIGINT CHECK (minimum > 0),
    minimum_currency TEXT,
    usage_limit BIGINT CHECK (usage_limit > 0),
    used BIGINT NOT NULL CHECK (used >= 0),
    starts_at TIMESTAMPTZ,
    ends_at TIMESTAMPTZ,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT discounts_within_limit CHECK (usage_limit IS NULL OR used <= usage_limit),
    CHECK ((basis_points IS NULL) <> (amount IS NULL)),
    CHECK ((amount IS NULL) = (amount_currency IS NULL)),
    CHECK ((minimum IS NULL) = (minimum_currency IS NULL))
);
CREATE INDEX discounts_by_time ON discounts (created_at, id);

-- carts, orders, payments

CREATE TABLE carts (
    id UUID PRIMARY KEY,
    user_id UUID REFERENCES users (id),
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'ordered', 'merged')),
    discount_code TEXT,
    delivery JSONB NOT NULL,
    order_id UUID,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX carts_by_user ON carts (user_id, status, created_at);
CREATE INDEX carts_by_expiry ON carts (expires_at);

CREATE TABLE cart_items (
    cart_id UUID NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    variant_id UUID NOT NULL REFERENCES variants (id),
    quantity BIGINT NOT NULL CONSTRAINT cart_items_quantity CHECK (quantity BETWEEN 1 AND 9999),
    position BIGINT NOT NULL,
    PRIMARY KEY (cart_id, variant_id)
) /* clustered */;
CREATE INDEX cart_items_by_variant ON cart_items (variant_id);

CREATE TABLE orders (
    id UUID PRIMARY KEY,
    number BIGINT NOT NULL CONSTRAINT orders_number UNIQUE,
    user_id UUID REFERENCES users (id),
    email TEXT NOT NULL,
    seller TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'fulfilled', 'cancelled', 'refunded')),
    cart_id UUID,
    subscription_id UUID,
    currency TEXT NOT NULL,
    subtotal BIGINT NOT NULL CHECK (subtotal >= 0),
    discount BIGINT NOT NULL CHECK (discount >= 0 AND discount <= subtotal),
    shipping BIGINT NOT NULL CHECK (shipping >= 0),
    tax BIGINT NOT NULL CHECK (tax >= 0),
    total BIGINT NOT NULL CHECK (total >= 0),
    taxes JSONB NOT NULL,
    discount_code TEXT,
    shipping_method TEXT,
    shipping_address JSONB NOT NULL,
    billing_address JSONB NOT NULL,
    lines JSONB NOT NULL,
    tracking_code TEXT,
    version BIGINT NOT NULL,
    placed_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    fulfilled_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX orders_one_per_cart ON orders (cart_id) WHERE status <> 'cancelled';
CREATE INDEX orders_by_user ON orders (user_id, placed_at, id);
CREATE INDEX orders_by_user_status ON orders (user_id, status, placed_at, id);
CREATE INDEX orders_by_status ON orders (status, placed_at, id);
CREATE INDEX orders_by_time ON orders (placed_at, id);
CREATE INDEX orders_by_subscription ON orders (subscription_id) WHERE subscription_id IS NOT NULL;

-- The products that a user bought: only these can be reviewed.
CREATE TABLE purchases (
    user_id UUID NOT NULL REFERENCES users (id),
    product_id UUID NOT NULL REFERENCES products (id),
    order_id UUID NOT NULL REFERENCES orders (id),
    PRIMARY KEY (user_id, product_id, order_id)
) /* clustered */;

CREATE TABLE discount_uses (
    order_id UUID PRIMARY KEY REFERENCES orders (id),
    discount_id UUID NOT NULL REFERENCES discounts (id)
);

CREATE TABLE payments (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL CONSTRAINT payments_one_per_order UNIQUE REFERENCES orders (id),
    provider TEXT NOT NULL,
    token TEXT NOT NULL,
    provider_reference TEXT,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'requires_action', 'authorized', 'captured', 'refunded', 'failed', 'voided')
    ),
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    authorized BIGINT NOT NULL CHECK (authorized >= 0),
    captured BIGINT NOT NULL CHECK (captured >= 0),
    capturing BIGINT NOT NULL CHECK (capturing >= 0),
    voiding BIGINT NOT NULL CHECK (voiding >= 0),
    refunded BIGINT NOT NULL CHECK (refunded >= 0),
    refunding BIGINT NOT NULL CHECK (refunding >= 0),
    failure TEXT,
    action_url TEXT,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    next_attempt_at TIMESTAMPTZ,
    watched_until TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT payments_captured_within_authorized CHECK (captured + capturing + voiding <= authorized),
    CONSTRAINT payments_refunded_within_captured CHECK (refunded + refunding <= captured)
);
CREATE INDEX payments_due ON payments (next_attempt_at, provider) WHERE next_attempt_at IS NOT NULL;
CREATE UNIQUE INDEX payments_by_reference ON payments (provider, provider_reference)
WHERE provider_reference IS NOT NULL;

CREATE TABLE payment_operations (
    id UUID PRIMARY KEY,
    payment_id UUID NOT NULL REFERENCES payments (id),
    kind TEXT NOT NULL CHECK (kind IN ('authorize', 'capture', 'refund', 'void')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    amount BIGINT NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    restock BOOLEAN NOT NULL,
    reason TEXT,
    failure TEXT,
    provider_reference TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    settled_at TIMESTAMPTZ
);
CREATE INDEX payment_operations_by_payment ON payment_operations (payment_id, created_at, id);

CREATE TABLE invoices (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    series KEYTEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    order_id UUID REFERENCES orders (id),
    user_id UUID REFERENCES users (id),
    corrects UUID REFERENCES invoices (id),
    payment_operation_id UUID UNIQUE REFERENCES payment_operations (id),
    currency TEXT NOT NULL,
    total BIGINT NOT NULL CHECK (total >= 0),
    document JSONB NOT NULL,
    issued_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT invoices_number UNIQUE (series, number)
);
CREATE UNIQUE INDEX invoices_one_per_order ON invoices (order_id) WHERE kind = 'invoice';
CREATE INDEX invoices_by_order ON invoices (order_id);
-- sqlite:
CREATE TRIGGER invoices_immutable BEFORE UPDATE ON invoices BEGIN
    SELECT RAISE(ABORT, 'invoices never change');
END;
CREATE TRIGGER invoices_kept BEFORE DELETE ON invoices BEGIN
    SELECT RAISE(ABORT, 'invoices never change');
END;
-- end
-- postgres:
CREATE FUNCTION invoices_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'invoices never change' USING ERRCODE = 'check_violation', CONSTRAINT = 'invoices_immutable';
END $$;
CREATE TRIGGER invoices_immutable BEFORE UPDATE OR DELETE ON invoices
FOR EACH ROW EXECUTE FUNCTION invoices_never_change();
-- end

-- subscriptions

CREATE TABLE subscriptions (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    product_id UUID NOT NULL REFERENCES products (id),
    variant_id UUID NOT NULL REFERENCES variants (id),
    quantity BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
    status TEXT NOT NULL CHECK (status IN ('active', 'past_due', 'paused', 'cancelled', 'expired')),
    billing_interval TEXT NOT NULL CHECK (billing_interval IN ('week', 'month', 'year')),
    currency TEXT NOT NULL,
    unit_price BIGINT NOT NULL CHECK (unit_price >= 0),
    shipping_method TEXT,
    shipping_address JSONB NOT NULL,
    billing_address JSONB NOT NULL,
    provider TEXT NOT NULL,
    token TEXT NOT NULL,
    period BIGINT NOT NULL CHECK (period >= 1),
    anchor_at TIMESTAMPTZ NOT NULL,
    paid_until TIMESTAMPTZ NOT NULL,
    next_charge_at TIMESTAMPTZ,
    failed_attempts BIGINT NOT NULL CHECK (failed_attempts >= 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX subscriptions_by_user ON subscriptions (user_id, created_at, id);
CREATE INDEX subscriptions_by_time ON subscriptions (created_at, id);
CREATE INDEX subscriptions_due ON subscriptions (next_charge_at) WHERE next_charge_at IS NOT NULL;

CREATE TABLE subscription_periods (
    subscription_id UUID NOT NULL REFERENCES subscriptions (id),
    period BIGINT NOT NULL CHECK (period >= 1),
    order_id UUID NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('charging', 'paid', 'failed')),
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subscription_id, period)
);
CREATE INDEX subscription_periods_by_order ON subscription_periods (order_id);

CREATE TABLE notifications (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    facts JSONB NOT NULL,
    channel TEXT NOT NULL CHECK (channel IN ('in_app', 'email', 'sms')),
    delivery TEXT NOT NULL CHECK (delivery IN ('pending', 'delivered', 'failed')),
    read_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX notifications_by_user ON notifications (user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, created_at, id) WHERE read_at IS NULL;
CREATE INDEX notifications_to_send ON notifications (channel, created_at, id) WHERE delivery = 'pending';

-- infrastructure

CREATE TABLE idempotency_keys (
    scope KEYTEXT NOT NULL,
    key KEYTEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    locked_until TIMESTAMPTZ NOT NULL,
    subject UUID,
    status BIGINT,
    headers JSONB,
    body BYTEA,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, key)
) /* clustered */;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_subject ON idempotency_keys (subject) WHERE subject IS NOT NULL;

CREATE TABLE outbox (
    seq SERIALKEY,
    id UUID NOT NULL,
    type TEXT NOT NULL,
    version BIGINT NOT NULL,
    subject TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    data JSONB NOT NULL
);
CREATE INDEX outbox_by_subject ON outbox (subject, seq);
-- postgres:
-- A transaction that publishes holds a shared lock, named by a number below those of its events, until it ends.
CREATE FUNCTION number_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    transaction TEXT := TG_RELID || ' ' || pg_current_xact_id();
BEGIN
    IF current_setting('undercroft.publishes', true) IS DISTINCT FROM transaction THEN
        PERFORM pg_advisory_xact_lock_shared((TG_RELID::bigint & 2147483647)::int, (NEW.seq & 2147483647)::int);
        PERFORM set_config('undercroft.publishes', transaction, true);
        NEW.seq := nextval('outbox_seq_seq');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_number BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION number_event();
-- The highest number up to which a later statement sees every event. The order of the steps matters: the last assigned
-- number, then the locks. A lock has the lower 31 bits of its number; the number is the one nearest to the last assigned.
CREATE FUNCTION readable_until() RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    assigned BIGINT := (SELECT last_value FROM outbox_seq_seq);
    publishing BIGINT := (
        SELECT MIN(assigned - ((assigned & 2147483647) - objid::bigint + 3221225472) % 2147483648 + 1073741824)
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = 'outbox'::regclass::oid::bigint & 2147483647
    );
BEGIN
    RETURN LEAST(assigned, publishing);
END $$;
-- end

-- a subscriber that one process at a time serves, such as the relay to a broker, has a lease
CREATE TABLE event_cursors (
    subscriber KEYTEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    lease UUID,
    leased_until TIMESTAMPTZ
);

-- events above the cursor of a subscriber that it has read, because a broker delivered them before earlier ones, and
-- events of other services that were received, which have no position
CREATE TABLE inbox (
    subscriber KEYTEXT NOT NULL,
    event_id UUID NOT NULL,
    seq BIGINT,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subscriber, event_id)
);
CREATE UNIQUE INDEX inbox_by_position ON inbox (subscriber, seq);

-- events that a subscriber has read and not handled: an attempt failed, they are replayed, or an earlier event of their
-- subject is here
CREATE TABLE postponed_events (
    subscriber KEYTEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES outbox (seq),
    subject KEYTEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    error TEXT,
    PRIMARY KEY (subscriber, seq)
);
CREATE INDEX postponed_events_by_subject ON postponed_events (subscriber, subject, seq);
CREATE INDEX postponed_events_due ON postponed_events (subscriber, due_at);
CREATE INDEX postponed_events_by_event ON postponed_events (seq);

CREATE TABLE dead_letters (
    id UUID PRIMARY KEY,
    subscriber KEYTEXT NOT NULL,
    seq BIGINT NOT NULL,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    subject TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    error TEXT NOT NULL,
    failed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT dead_letters_one_per_subscriber UNIQUE (seq, subscriber)
);
CREATE INDEX dead_letters_by_time ON dead_letters (failed_at, id);

CREATE TABLE jobs (
    id UUID PRIMARY KEY,
    name KEYTEXT NOT NULL,
    arguments JSONB NOT NULL,
    unique_key KEYTEXT NOT NULL,
    priority BIGINT NOT NULL,
    status KEYTEXT NOT NULL CHECK (status IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    due_at TIMESTAMPTZ NOT NULL,
    attempts BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    processed BIGINT NOT NULL,
    lease UUID,
    renewals BIGINT NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    CHECK ((status = 'running') = (lease IS NOT NULL)),
    CHECK ((status IN ('waiting', 'running')) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX jobs_one_open_per_key ON jobs (unique_key) WHERE ended_at IS NULL;
CREATE INDEX jobs_open ON jobs (priority DESC, due_at, id) WHERE ended_at IS NULL;
CREATE INDEX jobs_by_time ON jobs (created_at, id);
CREATE INDEX jobs_by_end ON jobs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE emails (
    id UUID PRIMARY KEY,
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed')),
    attempts BIGINT NOT NULL,
    due_at TIMESTAMPTZ,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    CHECK ((status = 'pending') = (due_at IS NOT NULL))
);
CREATE INDEX emails_due ON emails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX emails_by_time ON emails (created_at, id);
CREATE INDEX emails_by_user ON emails (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE webhook_endpoints (
    id UUID PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    event_types JSONB NOT NULL,
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_secret_until TIMESTAMPTZ,
    active BOOLEAN NOT NULL,
    failing_since TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX webhook_endpoints_by_time ON webhook_endpoints (created_at, id);

CREATE TABLE webhook_deliveries (
    id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts BIGINT NOT NULL,
    due_at TIMESTAMPTZ,
    lease UUID,
    response_status BIGINT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    attempted_at TIMESTAMPTZ,
    CONSTRAINT webhook_deliveries_one_per_event UNIQUE (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (created_at);

CREATE TABLE sandbox_charges (
    id KEYTEXT PRIMARY KEY,
    token TEXT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    decline TEXT,
    capture BOOLEAN NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    captured BIGINT NOT NULL CHECK (captured >= 0 AND captured <= amount),
    refunded BIGINT NOT NULL CHECK (refunded >= 0 AND refunded <= captured),
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE sandbox_requests (
    idempotency_key KEYTEXT PRIMARY KEY,
    charge_id KEYTEXT NOT NULL REFERENCES sandbox_charges (id),
    kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    accepted BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
