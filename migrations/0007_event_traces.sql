-- the trace context of the request that published the event (W3C Trace Context)
ALTER TABLE outbox ADD COLUMN trace TEXT;
