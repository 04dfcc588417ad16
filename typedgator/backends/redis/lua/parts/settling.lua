-- Settlements. `settle(worker, owner, idle, first, last)` reads them from ARGV[first..last]:
--   'S' n token … id …                    n successes with nothing to keep
--   'R' n token … id … outcome …          n successes with a result, kept for up to ten minutes
--   'S+' n token id …                     the same, with this token and the following ones
--   'R+' n token id … outcome …
--   kind id token p1 p2 p3 p4             any other, kind one of
--     s success: p1 '1' with outcome p2, keep p3 ms      f failed: outcome p2
--     r retry: p1 '1' with outcome p2, delay p3          z snoozed: delay p3
--     l released      c canceled: reason p1              h held: reason p1, task p2, schema p3, bound p4
-- Answers the numbers, from 1, of those that are lost.
local function again(id, frame, rec, wait_ms)
  rec.x, rec.h = 1, nil
  save(id, rec)
  count('retrying', queue_of(frame), 1)
  delay(id, frame, now + wait_ms)
end

local function hold(id, frame, rec, reason, task, schema, bound_ms)
  rec.h = rec.h or now
  rec.hr, rec.ht, rec.hs = reason, task, schema
  save(id, rec)
  expire_again(id, frame, rec)
  C('ZADD', held, int(rec.h + bound_ms), id)
  C('ZADD', held_of, 0, kind_of(rec) .. '\0' .. id)
  C('HINCRBY', kinds, kind_of(rec), 1)
  count('held', queue_of(frame), 1)
end

local function set_outcome(id, rec, there, outcome)
  if there == '1' then
    C('HSET', results, id, outcome)
    rec.o = 1
  elseif rec.o then
    C('HDEL', results, id)
    rec.o = nil
  end
end

local function settle_one(alive, owner, idle, kind, id, token, p1, p2, p3, p4)
  local value = alive and C('HGET', owner, id)
  local single = value == token or value == token .. '!'
  if not single and (value or not alive or not take_out(owner, tonumber(token), 1, id)) then
    return written_before(kind, id, token)
  end
  local frame, rec = frame_of(id), load(id)
  if single then C('HDEL', owner, id) end
  if not frame then
    forget_run(id)
    return false
  end
  note_end({'#' .. token, kind .. id})
  if rec.c then
    C('RPUSH', idle, 1)
    C('PEXPIRE', idle, 60000)
  end
  local asked = forget_run(id)
  local attempt = (rec.a or 0) + 1
  if kind == 's' then
    rec.a = attempt
    set_outcome(id, rec, p1, p2)
    close(id, frame, rec, 's', nil, tonumber(p3))
  elseif kind == 'f' then
    rec.a = attempt
    set_outcome(id, rec, '1', p2)
    close(id, frame, rec, 'f')
  elseif kind == 'c' then
    rec.a = attempt
    close(id, frame, rec, 'c', p1)
  elseif asked then
    close(id, frame, rec, 'c', 'canceled')
  elseif kind == 'r' then
    rec.a = attempt
    set_outcome(id, rec, p1, p2)
    again(id, frame, rec, tonumber(p3))
  elseif kind == 'z' then
    again(id, frame, rec, tonumber(p3))
  elseif kind == 'l' then
    come_back(id, frame, rec)
  elseif kind == 'h' then
    hold(id, frame, rec, p1, p2, p3, tonumber(p4))
  else
    error('no such kind of verdict: ' .. kind)
  end
  settle_dependents()
  return true
end

-- Of which of the n ids from ARGV[from] on more than a frame and an owner's field is to be cleared away: their numbers,
-- and nothing of the others.
local function entangled(from, n)
  local there = {}
  for _, index in ipairs({waiters, cancels, notes}) do
    if C('HLEN', index) > 0 then
      local found = C('HMGET', index, unpack(ARGV, from, from + n - 1))
      for i = 1, n do there[i] = there[i] or found[i] or nil end
    end
  end
  if C('ZCARD', kids) > 0 then
    for i = 1, n do
      local first = named(ARGV[from + i - 1])
      if #C('ZRANGEBYLEX', kids, '[' .. first, '[' .. first .. TOP, 'LIMIT', 0, 1) > 0 then there[i] = true end
    end
  end
  return there
end

-- A run of successes: tokens, then `n` ids from ARGV[first] on, then outcomes if there are any. Those that leave nothing
-- else behind are written together. `together`: these tokens are consecutive.
local function settle_well(alive, owner, idle, tokens, first, n, has_outcomes, together, lost, number)
  local said, last = ARGV, first + n - 1 -- each look at ARGV itself would be one into all globals
  local marks, at, others, ending, there = {}, 0, nil, ':' .. ms, entangled(first, n)
  if has_outcomes then ending = ending .. ':' end
  local whole = alive and together and next(there) == nil and #batches_of(owner) > 0
    and take_out(owner, tonumber(tokens[1]), n, table.concat(said, '', first, last))
  local values = alive and not whole and C('HMGET', owner, unpack(said, first, last)) or {}
  local alone = {}
  for i = 1, n do
    local id, token = said[first + i - 1], tokens[i]
    local well = whole
    if not whole and alive and not there[i] then
      well = values[i] == token
      if well then alone[#alone + 1] = id else well = not values[i] and take_out(owner, tonumber(token), 1, id) end
    end
    if well then
      marks[at + 1] = id
      marks[at + 2] = has_outcomes and 's' .. token .. ending .. said[last + i] or 's' .. token .. ending
      at = at + 2
    else
      others = others or {}
      others[#others + 1] = i
    end
  end
  if #alone > 0 then C('HDEL', owner, unpack(alone)) end
  if at == 2 * n then
    C('HDEL', frames, unpack(said, first, last))
  elseif at > 0 then
    local plain = {}
    for i = 1, at, 2 do plain[#plain + 1] = marks[i] end
    C('HDEL', frames, unpack(plain))
  end
  if at > 0 then
    if has_outcomes then note_late(marks) else note_end(marks) end
  end
  for _, i in ipairs(others or {}) do
    local has_outcome, outcome, keep_ms = '0', '', '0'
    if has_outcomes then has_outcome, outcome, keep_ms = '1', said[last + i], '600000' end
    if not settle_one(alive, owner, idle, 's', said[first + i - 1], tokens[i], has_outcome, outcome, keep_ms) then
      lost[#lost + 1] = number + i
    end
  end
end

local function settle(worker, owner, idle, first, last)
  local alive = C('ZSCORE', beats, worker)
  local lost, number, at = {}, 0, first
  while at <= last do
    local kind, many = string.match(ARGV[at], '^([SR])(%+?)$')
    if kind then
      local n, together = tonumber(ARGV[at + 1]), many == '+'
      local tokens = together and numbered(tonumber(ARGV[at + 2]), n) or {unpack(ARGV, at + 2, at + 1 + n)}
      local ids = at + (together and 3 or 2 + n)
      settle_well(alive, owner, idle, tokens, ids, n, kind == 'R', together, lost, number)
      number, at = number + n, ids + (kind == 'R' and 2 * n or n)
    else
      number = number + 1
      if not settle_one(alive, owner, idle, unpack(ARGV, at, at + 6)) then lost[#lost + 1] = number end
      at = at + 7
    end
  end
  if alive then leave_rest(owner) end
  return lost
end
