# SPDX-License-Identifier: Apache-2.0
"""Answers of a host held against the schema that it serves itself under /sdk: what is required is there, in
the schema's order, and nothing else. pyVmomi is content with less; clients that are made from the WSDL
(zeep, suds, JAX-WS) are not."""

import io
import re
import ssl
import urllib.request

try:
    from lxml import etree
except ImportError:
    etree = None

BODY_MAX = 4 << 20
ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"


class Schema(etree.Resolver if etree else object):
    def __init__(self, port):
        super().__init__()
        self.base, self.wrong, self.answers = f"https://127.0.0.1:{port}/sdk/", {}, 0
        parser = etree.XMLParser()
        parser.resolvers.add(self)
        wsdl = etree.fromstring(self.get("vim.wsdl"), parser)
        text = etree.tostring(wsdl.find(f".//{XSD}schema"))
        self.schema = etree.XMLSchema(etree.fromstring(text, parser, base_url=f"{self.base}vim.wsdl"))

    def get(self, name):
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(self.base + name, context=context, timeout=60) as answer:
            return answer.read()

    def resolve(self, url, _id, context):
        """lxml's: what a schema imports."""
        return self.resolve_string(self.get(url.rsplit("/", 1)[-1]), context, base_url=url)

    def check(self, text):
        """An envelope. What is wrong in it is noted, once each."""
        body = etree.fromstring(text, etree.XMLParser(huge_tree=True)).find(f"{ENVELOPE}Body")[0]
        said = body.find("detail") if body.tag == f"{ENVELOPE}Fault" else [body]
        for one in said if said is not None else ():
            if one.tag.endswith("}FetchResponse"):  # in no WSDL, not in VMware's either
                continue
            self.answers += 1
            one = etree.fromstring(etree.tostring(one))
            if not self.schema.validate(one):
                for error in self.schema.error_log:
                    text = error.message.replace("{urn:vim25}", "")
                    self.wrong.setdefault(f"{etree.QName(one).localname}: {text}", error.path)


watched = None


def watch(port):
    """From now on all that pyVmomi is answered is checked; nothing without lxml."""
    global watched
    if watched or not etree:
        return
    from pyVmomi import SoapAdapter
    watched = Schema(port)
    reader = SoapAdapter.SoapResponseDeserializer
    read = reader.Deserialize

    def deserialize(self, body, *arguments, **named):
        text = body if isinstance(body, (bytes, str)) else body.read()
        text = text.encode() if isinstance(text, str) else text
        if len(text) <= BODY_MAX:
            watched.check(text)
        return read(self, io.BytesIO(text), *arguments, **named)

    reader.Deserialize = deserialize


def finish(tap):
    """A step that says how it was."""
    if watched:
        lines = [f"{text} ({re.sub('[*]/', '', path or '')})" for text, path in watched.wrong.items()]
        tap.check("all answers are as the host's own schema says", watched.answers and not lines, "\n".join(lines[:20]))
