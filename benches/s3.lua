-- Load for benches/s3: the same requests signed for S3, or plain.
-- Arguments: FORM METHOD SIGNED_FILE BODY_FILE; each line of SIGNED_FILE is a path, a moment and a signature.

function init(args)
    local form, method = args[1], args[2]
    local host = wrk.headers["Host"] or (wrk.host .. ":" .. wrk.port)
    local body = ""
    if method == "PUT" then
        local file = assert(io.open(args[4], "rb"))
        body = file:read("*a")
        file:close()
    end
    requests, sent = {}, 0
    for line in io.lines(args[3]) do
        local path, moment, signature = line:match("^(%S+) (%S+) (.*)$")
        local head = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. host .. "\r\n"
        if form == "s3" then
            head = head .. "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-date: " .. moment
                .. "\r\nAuthorization: AWS4-HMAC-SHA256 " .. signature .. "\r\n"
        end
        if method == "PUT" then
            head = head .. "Content-Length: " .. #body .. "\r\n"
        end
        requests[#requests + 1] = head .. "\r\n" .. body
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end

function done(summary, latency, all)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
