/* SPDX-License-Identifier: Apache-2.0 */
/* Writing SOAP: values by their shapes, the envelope, faults.
 *
 * What clients insist on, each found with one that fails otherwise: every member of an ArrayOf...
 * in an anyType place has its xsi:type, references included (libvirt); no property, type or enum
 * that is newer than what the client speaks, no empty element where a value is unset (pyVmomi); the
 * order of properties is that of the declaration. A data object whose type is too new is written as
 * the nearest base that the client knows. */
#include <string.h>

#include "base/range.h"
#include "base/utf8.h"
#include "hostd/api/soap.h"
#include "hostd/api/text.h"
#include "hostd/api/vim_types.gen.h"

#define ENVELOPE_OPEN                                              \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                 \
    "<soapenv:Envelope"                                            \
    " xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\"" \
    " xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"" \
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""              \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n"  \
    "<soapenv:Body>\n"
#define ENVELOPE_CLOSE "\n</soapenv:Body>\n</soapenv:Envelope>"

/* U+FFFE and U+FFFF, which are UTF-8 and no characters of XML (2.2). */
static bool is_no_character(const char *text)
{
    return !strncmp(text, "\xef\xbf", 2) && (text[2] == '\xbe' || text[2] == '\xbf');
}

/* Characters that XML cannot carry become '?'. */
static void put_text(struct buf *out, const char *text)
{
    static const char *const entity[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\r'] = "&#13;"};
    const char *from = text;
    bool valid = utf8_valid(text);
    for (;; text++) {
        uint8_t c = (uint8_t)*text;
        bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x80 && !valid);
        bool none = c == 0xef && is_no_character(text);
        if (c && !control && !none && !entity[c])
            continue;
        buf_put(out, from, (size_t)(text - from));
        if (!c)
            return;
        buf_put_str(out, control || none ? "?" : entity[c]);
        text += none ? 2 : 0;
        from = text + 1;
    }
}

static void open_tag(struct buf *out, const char *name)
{
    buf_put(out, "<", 1);
    buf_put_str(out, name);
}

static void put_attribute(struct buf *out, const char *name, const char *prefix, const char *value)
{
    buf_put(out, " ", 1);
    buf_put_str(out, name);
    buf_put(out, "=\"", 2);
    buf_put_str(out, prefix);
    put_text(out, value);
    buf_put(out, "\"", 1);
}

static void close_tag(struct buf *out, const char *name)
{
    buf_put(out, "</", 2);
    buf_put_str(out, name);
    buf_put(out, ">", 1);
}

static const struct vim_type *known_type(const struct vim_type *type, unsigned version)
{
    while (type->base && type->since > version)
        type = type->base;
    return type;
}

static const struct vim_managed *known_managed(const struct vim_managed *type, unsigned version)
{
    while (type->base && type->since > version)
        type = type->base;
    return type;
}

static void put_properties(struct buf *out, const struct vim_data *data,
                           const struct vim_type *type, unsigned version)
{
    const struct vim_type *chain[VIM_CHAIN_MAX];
    unsigned depth = vim_chain(type, chain);
    for (unsigned i = 0; i < depth; i++)
        for (unsigned j = 0; j < chain[i]->prop_count; j++) {
            const struct vim_property *prop = &chain[i]->props[j];
            if (prop->since > version)
                continue;
            struct vim_any value = vim_told(data, prop);
            if (value.shape.kind != VIM_NONE)
                soap_write_value(out, prop->name, &value, prop->shape, version);
        }
}

static void put_data(struct buf *out, const char *name, const struct vim_data *data,
                     struct vim_shape declared, unsigned version)
{
    const struct vim_type *type = known_type(data->type, version);
    open_tag(out, name);
    if (declared.kind == VIM_ANY || type != &vim_types[declared.of] || type->derived)
        put_attribute(out, "xsi:type", "", type->name);
    buf_put(out, ">", 1);
    put_properties(out, data, type, version);
    close_tag(out, name);
}

static void put_ref(struct buf *out, const char *name, struct vim_ref ref, bool typed,
                    unsigned version)
{
    open_tag(out, name);
    put_attribute(out, "type", "", known_managed(ref.type, version)->name);
    if (typed)
        put_attribute(out, "xsi:type", "", "ManagedObjectReference");
    buf_put(out, ">", 1);
    put_text(out, ref.id);
    close_tag(out, name);
}

/* The name of a type, as a value: of the nearest base that the client knows. */
static const char *known_name(const char *name, unsigned version)
{
    const struct vim_type *type = vim_find_type(name);
    const struct vim_managed *managed = type ? NULL : vim_find_managed(name);
    if (type)
        return known_type(type, version)->name;
    return managed ? known_managed(managed, version)->name : name;
}

/* ArrayOfX in an anyType place. */
static void put_array(struct buf *out, const char *name, const struct vim_any *list,
                      unsigned version)
{
    bool refs = list->shape.kind == VIM_REF;
    const char *item = refs ? "ManagedObjectReference" : vim_shape_name(list->shape);
    char array[128] = "ArrayOf";
    size_t len = strlen(item);
    if (len < sizeof array - 8) /* every name of ours is */
        memcpy(array + 7, item, len);
    if (array[7] >= 'a' && array[7] <= 'z')
        array[7] = (char)(array[7] - 'a' + 'A');
    open_tag(out, name);
    put_attribute(out, "xsi:type", "", array);
    buf_put(out, ">", 1);
    for (size_t i = 0; i < list->list.count; i++) {
        struct vim_any one = vim_item(list, i);
        if (one.shape.kind != VIM_NONE)
            soap_write_value(out, item, &one, (struct vim_shape){.kind = VIM_ANY}, version);
    }
    close_tag(out, name);
}

static void put_plain(struct buf *out, const char *name, const struct vim_any *value, bool typed,
                      unsigned version)
{
    char scalar[TEXT_TIME_MAX];
    bool is_enum = value->shape.kind == VIM_ENUM;
    open_tag(out, name);
    if (typed)
        put_attribute(out, "xsi:type", is_enum ? "" : "xsd:", vim_shape_name(value->shape));
    buf_put(out, ">", 1);
    switch (value->shape.kind) {
    case VIM_STRING:
    case VIM_URI:
        put_text(out, value->str);
        break;
    case VIM_TYPENAME:
        put_text(out, known_name(value->str, version));
        break;
    case VIM_BINARY:
        text_base64(out, value->bin.data, value->bin.len);
        break;
    case VIM_ENUM:
        put_text(out, vim_enums[value->shape.of].values[value->i]);
        break;
    default:
        buf_put_str(out, text_scalar(scalar, value));
        break;
    }
    close_tag(out, name);
}

void soap_write_value(struct buf *out, const char *name, const struct vim_any *value,
                      struct vim_shape declared, unsigned version)
{
    bool typed = declared.kind == VIM_ANY && !declared.list;
    if (value->shape.list) {
        if (typed) {
            put_array(out, name, value, version);
            return;
        }
        declared.list = false;
        for (size_t i = 0; i < value->list.count; i++) {
            struct vim_any one = vim_item(value, i);
            if (one.shape.kind != VIM_NONE)
                soap_write_value(out, name, &one, declared, version);
        }
        return;
    }
    switch (value->shape.kind) {
    case VIM_NONE:
        break;
    case VIM_DATA:
        put_data(out, name, value->data, declared, version);
        break;
    case VIM_REF:
        put_ref(out, name, value->ref, typed, version);
        break;
    default:
        put_plain(out, name, value, typed, version);
        break;
    }
}

static void put_fault(struct buf *out, const struct call *call)
{
    const struct vim_type *type = known_type(call->fault->type, call->version);
    buf_put_str(out, "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>");
    put_text(out, call->fault_text);
    buf_put_str(out, "</faultstring><detail><");
    buf_printf(out, "%sFault xmlns=\"urn:vim25\" xsi:type=\"%s\">", type->name, type->name);
    put_properties(out, call->fault, type, call->version);
    buf_printf(out, "</%sFault></detail></soapenv:Fault>", type->name);
}

void soap_write(struct buf *out, const struct call *call)
{
    buf_put_str(out, ENVELOPE_OPEN);
    if (call->fault) {
        put_fault(out, call);
    } else if (call->write) {
        buf_printf(out, "<%sResponse xmlns=\"urn:vim25\">", call->called);
        call->write(out, call);
        buf_printf(out, "</%sResponse>", call->called);
    } else {
        buf_printf(out, "<%sResponse xmlns=\"urn:vim25\">", call->method->name);
        soap_write_value(out, "returnval", &call->result, call->method->result, call->version);
        buf_printf(out, "</%sResponse>", call->method->name);
    }
    buf_put_str(out, ENVELOPE_CLOSE);
}
