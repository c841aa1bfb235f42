#include "launch/report/watch.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/signals.h"

namespace flame {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Response = http::response<http::string_body>;

constexpr std::chrono::milliseconds kBetweenLooks(200);  // whether to stop
constexpr std::chrono::seconds kPatience(5);

bool IsLoopback(const std::string& host) {
  const std::string name = host.substr(0, host.rfind(':'));
  return name == "127.0.0.1" || boost::beast::iequals(name, "localhost");
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
  } else if (request.target().substr(0, request.target().find('?')) != "/") {
    response.result(http::status::not_found);
    response.body() = "only / is here\n";
  } else {
    response.body() = page();
  }
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

// One browser's connection: a request and its answer, each within kPatience.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const std::function<std::string()>& page)
      : stream_(std::move(socket)), page_(page) {}

  void Start() {
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](boost::system::error_code error, size_t) {
                       if (!error) self->Reply();
                     });
  }

 private:
  void Reply() {
    response_ = Answer(request_, page_);
    stream_.expires_after(kPatience);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](boost::system::error_code error, size_t) {
                        self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
                      });
  }

  boost::beast::tcp_stream stream_;
  const std::function<std::string()>& page_;
  boost::beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  Response response_;
};

void Accept(tcp::acceptor* acceptor, const std::function<std::string()>& page) {
  acceptor->async_accept([acceptor, &page](boost::system::error_code error, tcp::socket socket) {
    if (!error) std::make_shared<Connection>(std::move(socket), page)->Start();
    if (error) std::this_thread::sleep_for(kBetweenLooks);  // no file descriptor is free
    Accept(acceptor, page);
  });
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
  Accept(&acceptor, page);
  while (!StopRequested()) context.run_for(kBetweenLooks);
}

}  // namespace flame
