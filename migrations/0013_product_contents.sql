-- The product whose content a file is: only its buyers and subscribers may download it. Other files are public.
ALTER TABLE files ADD COLUMN product_id UUID REFERENCES products (id);
CREATE INDEX files_by_product ON files (product_id, created_at, id) WHERE product_id IS NOT NULL;
