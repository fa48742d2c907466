-- Load for benches/s3: the same requests signed for S3, or plain.
-- Arguments: FORM METHOD SIGNED_FILE BODY_FILE; each line of SIGNED_FILE is a path, a moment and a signature.

dofile("benches/lib/wrk.lua")

function init(args)
    local form, method, body = args[1], args[2], read_body(args[4])
    local tail = "\r\n"
    if method == "PUT" then tail = "Content-Length: " .. #body .. "\r\n\r\n" .. body else least = #body end
    requests, sent = {}, 0
    for line in io.lines(args[3]) do
        local path, moment, signature = line:match("^(%S+) (%S+) (.*)$")
        local head = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. host() .. "\r\n"
        if form == "s3" then
            head = head .. "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-date: " .. moment
                .. "\r\nAuthorization: " .. signature .. "\r\n"
        end
        requests[#requests + 1] = head .. tail
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end
