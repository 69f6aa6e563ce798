-- Sends the requests of a file in turn; `########` in one becomes a number that is never used twice.
-- The file holds raw HTTP requests, each ended by a NUL. One thread only: the number is the thread's own.

local requests, sent, numbered = {}, 0, false

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for text in file:read("*a"):gmatch("[^%z]+") do
    requests[#requests + 1] = text
  end
  file:close()
  numbered = requests[1]:find("########", 1, true) ~= nil
end

function request()
  local text = requests[sent % #requests + 1]
  sent = sent + 1
  if numbered then
    text = text:gsub("########", string.format("%08d", sent))
  end
  return text
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    "result %d %d %d %d %.0f %.0f\n",
    summary.requests, summary.duration, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
