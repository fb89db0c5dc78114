-- the trace context of what caused the e-mail (W3C Trace Context)
ALTER TABLE emails ADD COLUMN trace TEXT;
