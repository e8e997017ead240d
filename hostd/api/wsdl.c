/* SPDX-License-Identifier: Apache-2.0 */
/* One schema namespace, urn:vim25, in two files: types and the elements of messages. The other
 * names are schemas that include these. vimService.wsdl names localhost as the address: clients use
 * the one by which they came. */
#include "hostd/api/wsdl.h"

#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define SCHEMA_HEAD                                                                              \
    XML_HEAD "<schema targetNamespace=\"urn:vim25\" xmlns=\"http://www.w3.org/2001/XMLSchema\" " \
             "xmlns:vim25=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" "         \
             "elementFormDefault=\"qualified\">\n"
#define WSDL_HEAD(ns)                                                                              \
    XML_HEAD "<definitions targetNamespace=\"" ns "\" xmlns=\"http://schemas.xmlsoap.org/wsdl/\" " \
             "xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:interface=\"urn:vim25\" " \
             "xmlns:vim25=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\n"

static const char *newest(void)
{
    return vim_versions[vim_version_count - 1];
}

static void put_type(struct buf *out, struct vim_shape shape)
{
    bool plain = shape.kind != VIM_ENUM && shape.kind != VIM_REF && shape.kind != VIM_DATA;
    buf_put_str(out, plain ? "xsd:" : "vim25:");
    buf_put_str(out, shape.kind == VIM_REF ? "ManagedObjectReference" : vim_shape_name(shape));
}

static void put_element(struct buf *out, const char *name, struct vim_shape shape, bool optional)
{
    buf_printf(out, "<element name=\"%s\" type=\"", name);
    put_type(out, shape);
    buf_printf(out, "\"%s%s/>\n", optional || shape.list ? " minOccurs=\"0\"" : "",
               shape.list ? " maxOccurs=\"unbounded\"" : "");
}

static void put_complex_type(struct buf *out, const struct vim_type *type, bool this_first)
{
    buf_printf(out, "<complexType name=\"%s\">\n", type->name);
    if (type->base)
        buf_printf(out, "<complexContent><extension base=\"vim25:%s\">", type->base->name);
    buf_put_str(out, "<sequence>\n");
    if (this_first)
        put_element(out, "_this", (struct vim_shape){.kind = VIM_REF}, false);
    for (unsigned i = 0; i < type->prop_count; i++)
        put_element(out, type->props[i].name, type->props[i].shape,
                    type->props[i].flags & VIM_OPTIONAL);
    buf_put_str(out, "</sequence>");
    if (type->base)
        buf_put_str(out, "</extension></complexContent>");
    buf_put_str(out, "</complexType>\n");
}

static bool is_request(const struct vim_type *type)
{
    return type->vmodl && !strchr(type->vmodl, '.'); /* named after its method */
}

static void put_array_type(struct buf *out, const char *name, const char *prefix)
{
    char first = *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
    buf_printf(out,
               "<complexType name=\"ArrayOf%c%s\"><sequence><element name=\"%s\" type=\"%s%s\" "
               "minOccurs=\"0\" maxOccurs=\"unbounded\"/></sequence></complexType>\n",
               first, name + 1, name, prefix, name);
}

static void put_arrays(struct buf *out)
{
    static const char *const plain[] = {"boolean",  "byte",    "short",  "int",
                                        "long",     "float",   "double", "string",
                                        "dateTime", "anyType", "anyURI", "base64Binary"};
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        put_array_type(out, plain[i], "xsd:");
    put_array_type(out, "ManagedObjectReference", "vim25:");
    for (unsigned i = 0; i < vim_enum_count; i++)
        put_array_type(out, vim_enums[i].name, "vim25:");
    for (unsigned i = 0; i < vim_type_count; i++)
        if (!is_request(&vim_types[i]))
            put_array_type(out, vim_types[i].name, "vim25:");
}

static void put_types(struct buf *out)
{
    buf_put_str(out, SCHEMA_HEAD
                "<complexType name=\"ManagedObjectReference\"><simpleContent><extension "
                "base=\"xsd:string\"><attribute name=\"type\" type=\"xsd:string\"/></extension>"
                "</simpleContent></complexType>\n");
    for (unsigned i = 0; i < vim_enum_count; i++) {
        const struct vim_enum *e = &vim_enums[i];
        buf_printf(out, "<simpleType name=\"%s\"><restriction base=\"xsd:string\">\n", e->name);
        for (unsigned j = 1; j < e->count; j++)
            buf_printf(out, "<enumeration value=\"%s\"/>\n", e->values[j]);
        buf_put_str(out, "</restriction></simpleType>\n");
    }
    for (unsigned i = 0; i < vim_type_count; i++)
        if (!is_request(&vim_types[i]))
            put_complex_type(out, &vim_types[i], false);
    put_arrays(out);
    buf_put_str(out, "</schema>\n");
}

static void put_messages(struct buf *out)
{
    buf_put_str(out, SCHEMA_HEAD "<include schemaLocation=\"vim-types.xsd\"/>\n");
    buf_put_str(out, "<element name=\"versionURI\" type=\"xsd:string\"/>\n");
    for (unsigned i = 0; i < vim_method_count; i++) {
        const struct vim_method *m = &vim_methods[i];
        put_complex_type(out, m->args, true);
        buf_printf(out, "<element name=\"%s\" type=\"vim25:%s\"/>\n", m->name, m->args->name);
        buf_printf(out, "<element name=\"%sResponse\"><complexType><sequence>\n", m->name);
        if (m->result.kind != VIM_NONE)
            put_element(out, "returnval", m->result, m->result_optional);
        buf_put_str(out, "</sequence></complexType></element>\n");
    }
    for (unsigned i = 0; i < vim_type_count; i++)
        if (vim_types[i].fault)
            buf_printf(out, "<element name=\"%sFault\" type=\"vim25:%s\"/>\n", vim_types[i].name,
                       vim_types[i].name);
    buf_put_str(out, "</schema>\n");
}

static void put_port_fault(struct buf *out, const char *name)
{
    buf_printf(out, "<fault name=\"%s\" message=\"vim25:%sFaultMsg\"/>\n", name, name);
}

static void put_binding_fault(struct buf *out, const char *name)
{
    buf_printf(out, "<fault name=\"%s\"><soap:fault name=\"%s\" use=\"literal\"/></fault>\n", name,
               name);
}

/* Every method may end in RuntimeFault, besides its own. */
static void put_faults(struct buf *out, const struct vim_method *m,
                       void (*put)(struct buf *out, const char *name))
{
    put(out, "RuntimeFault");
    for (unsigned i = 0; i < m->fault_count; i++)
        if (m->faults[i] != VIM_T_RuntimeFault)
            put(out, vim_types[m->faults[i]].name);
}

static void put_binding(struct buf *out)
{
    buf_put_str(out, "<binding name=\"VimBinding\" type=\"vim25:VimPortType\">\n"
                     "<soap:binding style=\"document\" "
                     "transport=\"http://schemas.xmlsoap.org/soap/http\"/>\n");
    for (unsigned i = 0; i < vim_method_count; i++) {
        const struct vim_method *m = &vim_methods[i];
        buf_printf(out,
                   "<operation name=\"%s\"><soap:operation soapAction=\"urn:vim25/%s\" "
                   "style=\"document\"/><input><soap:body use=\"literal\"/></input>"
                   "<output><soap:body use=\"literal\"/></output>\n",
                   m->name, newest());
        put_faults(out, m, put_binding_fault);
        buf_put_str(out, "</operation>\n");
    }
    buf_put_str(out, "</binding>\n");
}

static void put_wsdl(struct buf *out)
{
    buf_put_str(
        out, WSDL_HEAD("urn:vim25") "<types><schema xmlns=\"http://www.w3.org/2001/XMLSchema\" "
                                    "targetNamespace=\"urn:vim25\"><include "
                                    "schemaLocation=\"vim-messagetypes.xsd\"/></schema></types>\n");
    for (unsigned i = 0; i < vim_type_count; i++)
        if (vim_types[i].fault)
            buf_printf(out,
                       "<message name=\"%sFaultMsg\"><part name=\"fault\" "
                       "element=\"vim25:%sFault\"/></message>\n",
                       vim_types[i].name, vim_types[i].name);
    for (unsigned i = 0; i < vim_method_count; i++) {
        const char *name = vim_methods[i].name;
        buf_printf(out,
                   "<message name=\"%sRequestMsg\"><part name=\"parameters\" element=\"vim25:%s\"/>"
                   "</message>\n<message name=\"%sResponseMsg\"><part name=\"parameters\" "
                   "element=\"vim25:%sResponse\"/></message>\n",
                   name, name, name, name);
    }
    buf_put_str(out, "<portType name=\"VimPortType\">\n");
    for (unsigned i = 0; i < vim_method_count; i++) {
        const struct vim_method *m = &vim_methods[i];
        buf_printf(out,
                   "<operation name=\"%s\"><input message=\"vim25:%sRequestMsg\"/>"
                   "<output message=\"vim25:%sResponseMsg\"/>\n",
                   m->name, m->name, m->name);
        put_faults(out, m, put_port_fault);
        buf_put_str(out, "</operation>\n");
    }
    buf_put_str(out, "</portType>\n");
    put_binding(out);
    buf_put_str(out, "</definitions>\n");
}

static void put_service(struct buf *out)
{
    buf_put_str(
        out,
        WSDL_HEAD(
            "urn:vim25Service") "<import location=\"vim.wsdl\" namespace=\"urn:vim25\"/>\n"
                                "<service name=\"VimService\"><port "
                                "binding=\"interface:VimBinding\" name=\"VimPort\">"
                                "<soap:address "
                                "location=\"https://localhost/sdk/vimService\"/></port></service>\n"
                                "</definitions>\n");
}

static void put_versions(struct buf *out)
{
    buf_printf(out,
               XML_HEAD "<namespaces version=\"1.0\">\n<namespace>\n<name>urn:vim25</name>\n"
                        "<version>%s</version>\n<priorVersions>\n",
               newest());
    for (unsigned i = vim_version_count - 1; i-- > 0;)
        if (strcmp(vim_versions[i], "2.5u2server") != 0) /* was never one to speak */
            buf_printf(out, "<version>%s</version>\n", vim_versions[i]);
    buf_put_str(out, "</priorVersions>\n</namespace>\n</namespaces>\n");
}

static void put_include_types(struct buf *out)
{
    buf_put_str(out, SCHEMA_HEAD "<include schemaLocation=\"vim-types.xsd\"/>\n</schema>\n");
}

static void put_include_messages(struct buf *out)
{
    buf_put_str(out, SCHEMA_HEAD "<include schemaLocation=\"vim-messagetypes.xsd\"/>\n</schema>\n");
}

bool wsdl_write(struct buf *out, const char *name)
{
    static const struct {
        const char *name;
        void (*put)(struct buf *out);
    } files[] = {
        {"vimService.wsdl", put_service},
        {"vim.wsdl", put_wsdl},
        {"vim-types.xsd", put_types},
        {"vim-messagetypes.xsd", put_messages},
        {"vimServiceVersions.xml", put_versions},
        {"core-types.xsd", put_include_types},
        {"query-types.xsd", put_include_types},
        {"reflect-types.xsd", put_include_types},
        {"query-messagetypes.xsd", put_include_messages},
        {"reflect-messagetypes.xsd", put_include_messages},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (!strcmp(files[i].name, name)) {
            files[i].put(out);
            return true;
        }
    return false;
}
