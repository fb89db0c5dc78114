-- What buyers hold with orders that are not paid, one row for each holder of an order. The holder is a keyed digest of the
-- client's address or of the user.
CREATE TABLE holds (
    order_id UUID NOT NULL,
    holder BYTEA NOT NULL,
    pieces BIGINT NOT NULL CHECK (pieces > 0),
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (order_id, holder)
) /* clustered */;
CREATE INDEX holds_by_holder ON holds (holder);
