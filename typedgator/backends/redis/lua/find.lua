#!lua flags=no-writes
-- What is known of some jobs; nothing is written.
-- KEYS    the fixed ones, own of each worker, then ready and wake of each queue
-- ARGV    version of the queues, version of the crew, number of workers, workers, ids (at most 64)
-- Result  {'ok', {state, frame, attempt, crashes, token, worker, due, finished, asked, parents, reason, outcome,
--          progress, held since}, …}, with '' for what there is not and {} for an unknown job; numbers as text
-- Cost    O(log N) for each job; of one that runs, O(W), and the bytes of the batches that the workers have
-- Needs   numbers counting keys batches clock roster crew memory lines ending
local n = tonumber(ARGV[3])

local function unfinished(id, frame)
  local rec = load(id)
  local there = {'running', frame, rec.a or 0, rec.c or 0, 0, '', '', '', 0, {}, rec.r or '',
                 rec.o and C('HGET', results, id) or false, false, ''}
  local finished, due, bound = C('ZSCORE', dead, id), C('ZSCORE', delayed, id), C('ZSCORE', held, id)
  if finished then
    there[1], there[8] = 'failed', int(-finished)
  elseif due then
    there[1], there[7] = rec.x and 'retrying' or 'scheduled', int(due)
  elseif bound then
    there[1], there[7], there[11], there[14] = 'held', int(bound), rec.hr, int(rec.h)
  elseif C('ZSCORE', ready(queue_of(frame)), id) then
    there[1] = 'waiting'
  else
    local parents = under(blocked, id)
    if #parents > 0 then
      there[1], there[10], there[7] = 'blocked', parents, rec.d and int(rec.d) or ''
    else
      there[3] = there[3] + 1
      for i = 1, n do
        local token = token_of(own(ARGV[3 + i]), id)
        if token then
          there[5], there[6] = token, ARGV[3 + i]
          break
        end
      end
      there[9] = C('HEXISTS', cancels, id)
      there[13] = C('HGET', notes, id)
    end
  end
  return there
end

local STATES = {s = 'success', f = 'failed', c = 'canceled'}
local found = {'ok'}
for i = 4 + n, #ARGV do
  local id = ARGV[i]
  local frame = C('HGET', frames, id)
  local known = not frame and ended(id)
  if frame then
    found[#found + 1] = unfinished(id, frame)
  elseif known then
    local token, finished, rest = string.match(known, '^s(%d+):(%d+)(.*)$')
    if token then
      local outcome = rest ~= '' and sub(rest, 2)
      found[#found + 1] = {'success', '', 1, 0, token, '', '', finished, 0, {}, '', outcome, false, ''}
    else
      local info = cmsgpack.unpack(sub(known, 2))
      found[#found + 1] = {STATES[sub(known, 1, 1)], '', info.a or 0, info.c or 0, 0, '', '', int(info.f), 0, {},
                           info.r or '', info.o and C('HGET', results, id) or false, false, ''}
    end
  else
    found[#found + 1] = {}
  end
end
return found
