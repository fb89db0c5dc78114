-- The administrator who created an endpoint; NULL for those of earlier versions.
ALTER TABLE webhook_endpoints ADD COLUMN created_by UUID REFERENCES users (id);
