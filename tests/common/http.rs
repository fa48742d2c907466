//! A small blocking HTTP/1.1 client over a bare socket, for requests that a proper client would not send:
//! half a head, a body that ends early, a path with NUL.
//!
//! Knows nothing of larder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, with values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that can be used for several requests, or misused.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects. Reads and writes on it time out after [`PATIENCE`].
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> std::io::Result<()> {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write)
    }

    /// Sends a request with `Content-Length` (none for an empty GET or the like) and reads the answer.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: larder.test\r\n");
        for (name, value) in headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "PUT" || !body.is_empty() {
            message.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        message.push_str("\r\n");
        let mut message = message.into_bytes();
        message.extend_from_slice(body);
        self.send(&message)?;
        self.read_response(method)
    }

    /// Reads one final answer to a request of this method; interim (1xx) answers are skipped.
    pub fn read_response(&mut self, method: &str) -> std::io::Result<Response> {
        loop {
            let (status, headers) = self.read_head()?;
            if (100..200).contains(&status) {
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new() };
            if method != "HEAD" && status != 204 && status != 304 {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// True when the server has closed the connection and nothing more can be read.
    pub fn at_end(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Status and headers of the next answer, interim ones included; its body is left unread.
    pub fn read_head(&mut self) -> std::io::Result<(u16, Vec<(String, String)>)> {
        let first = self.read_line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken(format!("no status line: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(format!("header {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, head: &Response) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if head.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.read_line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16);
                let size = size.map_err(|_| broken(format!("chunk size {line:?}")))?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                self.read_line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match head.header("content-length") {
            Some(length) => {
                body.resize(length.parse().map_err(|_| broken(format!("content-length {length:?}")))?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => drop(self.stream.read_to_end(&mut body)?),
        }
        Ok(body)
    }

    fn read_line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let end = line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 };
        line.truncate(end);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// One request on a connection of its own.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut headers = headers.to_vec();
    headers.push(("Connection", "close"));
    Connection::open(address)
        .and_then(|mut connection| connection.request(method, path, &headers, body))
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// A GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, &[], &[])
}

/// A PUT on a connection of its own.
pub fn put(address: SocketAddr, path: &str, body: &[u8]) -> Response {
    request(address, "PUT", path, &[], body)
}

fn broken(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}
