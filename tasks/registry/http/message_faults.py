"""What is no HTTP message (RFC 9112): an answer that cannot be read, a request that cannot be written."""


class AnswerMalformed(Exception):
    """The other side sent something that is no answer, or only a part of one."""


class RequestMalformed(Exception):
    """A request would have an address or a header field that no request can hold."""
