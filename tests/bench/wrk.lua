-- Walks the tokens in a file, one after the other, and tells what came of it as JSON on a line of its own. With a second argument,
-- milliseconds above 0, each connection pauses for about so long before a request, as a crowd of independent clients would. With a
-- third one it posts that as JSON instead, without a token.

local tokens, place = {}, 0

function init(arguments)
  for token in io.lines(arguments[1]) do tokens[#tokens + 1] = "Bearer " .. token end
  local pause = tonumber(arguments[2] or 0)
  body = arguments[3]
  if pause > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(-pause * math.log(1 - math.random())) end
  end
end

function request()
  if body then return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body) end
  place = place % #tokens + 1
  wrk.headers["Authorization"] = tokens[place]
  return wrk.format()
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
