-- What is known of finished jobs: two pairs of hashes that take turns, `done0` and `done1` for a minute, `late0` and
-- `late1` for ten; `kept`, with `keep` for its times, has what must be known for longer.
--   id      -> 's' token ':' ms             a success with nothing else to tell
--              's' token ':' ms ':' outcome  one with a result
--              's' | 'f' | 'c' .. msgpack    any other end
--   '#' token -> kind .. id, in done0, done1  a settlement that ended an attempt, so that it may be repeated
local ms = int(now)

local function turn(era, since, zero, one, term)
  local found = C('HMGET', meta, era, since)
  local now_is, began = tonumber(found[1] or 0), tonumber(found[2] or 0)
  if now < began then -- the clock was set back: from here on it is a term as any other
    began = now
    C('HSET', meta, since, ms)
  end
  if now - began >= term then
    C('UNLINK', now_is == 0 and one or zero)
    if now - began >= 2 * term then C('UNLINK', now_is == 0 and zero or one) end
    now_is = 1 - now_is
    C('HSET', meta, era, int(now_is), since, ms)
  end
  return now_is == 0 and zero or one
end

local minute, ten_minutes
local function done()
  minute = minute or turn('era', 'era_ms', done0, done1, 60000)
  return minute
end
local function late()
  ten_minutes = ten_minutes or turn('late', 'late_ms', late0, late1, 600000)
  return ten_minutes
end

-- The expiry is a net, should nobody ever come by again; a turn ends long before.
local function note_end(fields) -- id, value, id, value …
  C('HSET', done(), unpack(fields))
  C('PEXPIRE', done(), 600000)
end
local function note_late(fields)
  C('HSET', late(), unpack(fields))
  C('PEXPIRE', late(), 3600000)
end

local MEMORY = {done0, done1, late0, late1, kept}
local function ended(id)
  for i = 1, 5 do
    local known = C('HGET', MEMORY[i], id)
    if known then return known end
  end
  return false
end

local function remember(id, state, info, least_ms, outcome_ms)
  info.f = info.f or now
  if not outcome_ms and least_ms <= 600000 then
    local fields = {id, state .. cmsgpack.pack(info)}
    if least_ms <= 60000 then note_end(fields) else note_late(fields) end
    return
  end
  info.u = now + math.max(least_ms, outcome_ms or 0)
  if outcome_ms then info.o = now + outcome_ms end
  C('HSET', kept, id, state .. cmsgpack.pack(info))
  C('ZADD', keep, int(info.o or info.u), id)
end

-- A settlement that is repeated after it was written, perhaps long since overtaken: the same answer.
local function written_before(kind, id, token)
  local field = '#' .. token
  local spent = C('HGET', done0, field) or C('HGET', done1, field)
  if spent then return spent == kind .. id end
  if kind ~= 's' then return false end
  local known = ended(id)
  return known and string.sub(known, 1, #token + 2) == 's' .. token .. ':'
end
