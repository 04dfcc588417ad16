-- The list of queues, or of workers, is another one now. Its version grows with the clock, not by one: a server that
-- forgot everything must not come by a version again that a caller knows, for other queues.
local function renew(list) C('HSET', meta, list, int(math.max((C('HGET', meta, list) or 0) + 1, now_us))) end
