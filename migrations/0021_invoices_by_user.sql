-- the invoices of a user, for the export of personal data
CREATE INDEX invoices_by_user ON invoices (user_id) WHERE user_id IS NOT NULL;
