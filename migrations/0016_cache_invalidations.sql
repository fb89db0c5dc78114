-- what caches read before they use an entry
CREATE INDEX outbox_cache_invalidations ON outbox (seq) WHERE type = 'cache_invalidation';
