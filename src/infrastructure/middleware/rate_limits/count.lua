local now, interval, full, step = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local kept = tonumber(redis.call('GET', KEYS[1]) or now)
local until_ = math.min(math.max(kept, now), now + full)
local next = until_ + step * interval
local allowed = 1
if next - now > full then
    allowed = 0
    next = until_
end
if next <= now then
    redis.call('DEL', KEYS[1])
elseif next ~= kept then
    redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', string.format('%.0f', math.ceil((next - now) / 1000)))
end
return {allowed, next - now}
