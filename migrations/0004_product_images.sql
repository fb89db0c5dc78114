-- The images of a product in their order, as ids of files with alternative texts.
ALTER TABLE products ADD COLUMN images JSONB NOT NULL DEFAULT '[]';
-- The files that products use. They cannot be deleted.
CREATE TABLE product_files (
    product_id UUID NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    file_id UUID NOT NULL REFERENCES files (id),
    PRIMARY KEY (product_id, file_id)
) /* clustered */;
CREATE INDEX product_files_by_file ON product_files (file_id);
