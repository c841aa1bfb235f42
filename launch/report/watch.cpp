#include "launch/report/watch.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"

namespace flame {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Response = http::response<http::string_body>;

constexpr int kPollMs = 200;        // between looks whether to stop
constexpr timeval kPatience{5, 0};  // for a request or its answer

bool IsLoopback(const std::string& host) {
  const std::string name = host.substr(0, host.rfind(':'));
  return name == "127.0.0.1" || name == "localhost";
}

Response Answer(const http::request<http::string_body>& request,
                const std::function<std::string()>& page) {
  Response response(http::status::ok, request.version());
  response.set(http::field::content_type, "text/html; charset=utf-8");
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(false);
  const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
  if (!IsLoopback(std::string(request[http::field::host]))) {
    response.result(http::status::misdirected_request);
    response.body() = "expected 127.0.0.1 or localhost as the host\n";
  } else if (!reads) {
    response.result(http::status::method_not_allowed);
    response.body() = "expected GET\n";
  } else if (request.target() != "/") {
    response.result(http::status::not_found);
    response.body() = "only / is here\n";
  } else {
    response.body() = page();
  }
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

void SetPatience(tcp::socket* socket) {
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(socket->native_handle(), SOL_SOCKET, direction, &kPatience, sizeof kPatience);
  }
}

void Serve(tcp::socket* socket, const std::function<std::string()>& page) {
  SetPatience(socket);
  boost::beast::flat_buffer buffer;
  http::request<http::string_body> request;
  boost::system::error_code error;
  http::read(*socket, buffer, request, error);
  if (error) return;  // the browser has gone, or sent no whole request
  const Response response = Answer(request, page);
  http::write(*socket, response, error);
  socket->shutdown(tcp::socket::shutdown_send, error);
}

// Returns whether a browser waits to be accepted.
bool Waits(const tcp::acceptor& acceptor) {
  pollfd wanted{const_cast<tcp::acceptor&>(acceptor).native_handle(), POLLIN, 0};
  return poll(&wanted, 1, kPollMs) > 0;
}

}  // namespace

void ServePage(uint16_t port, const std::function<std::string()>& page,
               const std::function<void(const std::string&)>& tell) {
  asio::io_context context;
  tcp::acceptor acceptor(context);
  boost::system::error_code error;
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  acceptor.open(endpoint.protocol());
  acceptor.set_option(tcp::acceptor::reuse_address(true));
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw MachineError("cannot listen on port ", port, " of 127.0.0.1: ", error.message(),
                       "; --port takes another one");
  }
  tell(StrCat("http://127.0.0.1:", acceptor.local_endpoint().port(), "/"));
  while (!StopRequested()) {
    if (!Waits(acceptor)) continue;
    tcp::socket socket(context);
    acceptor.accept(socket, error);
    if (!error) Serve(&socket, page);
  }
}

}  // namespace flame
