/* wsgi.file_wrapper: if it wraps a regular file, the library sends it with sendfile(2); otherwise it is iterated. */
#include "file.h"
#include "header_names.h"

#include <stddef.h>
#include <structmember.h>
#include <sys/stat.h>

struct file {
	PyObject_HEAD
	PyObject *filelike;
	Py_ssize_t block_size;
};

/* Types whose read() returns the bytes of their descriptor. A GzipFile has fileno(), too, but decompresses. */
static PyObject *raw_type, *buffered_types[2];

static PyObject *file_new(PyTypeObject *self_type, PyObject *arguments, PyObject *keywords)
{
	static char filelike_name[] = "filelike", block_size_name[] = "blksize";
	static char *names[] = { filelike_name, block_size_name, NULL };
	PyObject *filelike;
	Py_ssize_t block_size = 8192;
	struct file *file;

	if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|n:FileWrapper", names, &filelike, &block_size))
		return NULL;
	if (block_size < 1) {
		PyErr_SetString(PyExc_ValueError, "the block size must be greater than 0");
		return NULL;
	}
	file = (struct file *)self_type->tp_alloc(self_type, 0);
	if (file) {
		file->filelike = Py_NewRef(filelike);
		file->block_size = block_size;
	}
	return (PyObject *)file;
}

static int file_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(((struct file *)self)->filelike);
	return 0;
}

static int file_clear(PyObject *self)
{
	Py_CLEAR(((struct file *)self)->filelike);
	return 0;
}

static void file_free(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	(void)file_clear(self);
	Py_TYPE(self)->tp_free(self);
}

static PyObject *file_next(PyObject *self)
{
	struct file *file = (struct file *)self;
	PyObject *block = PyObject_CallMethod(file->filelike, "read", "n", file->block_size);
	const int more = block ? PyObject_IsTrue(block) : -1;

	if (more != 1)
		Py_CLEAR(block); /* the end, or an exception */
	return block;
}

static PyObject *file_close(PyObject *self, PyObject *nothing)
{
	PyObject *method = PyObject_GetAttr(((struct file *)self)->filelike, wsgi_keys.close);
	PyObject *result;

	(void)nothing;
	if (method == NULL) {
		if (!PyErr_ExceptionMatches(PyExc_AttributeError))
			return NULL;
		PyErr_Clear(); /* a filelike need not have close() */
		Py_RETURN_NONE;
	}
	result = PyObject_CallNoArgs(method);
	Py_DECREF(method);
	return result;
}

static PyMethodDef methods[] = {
	{ "close", file_close, METH_NOARGS, "close()" },
	{ NULL, NULL, 0, NULL },
};

static PyMemberDef members[] = {
	{ "filelike", T_OBJECT_EX, offsetof(struct file, filelike), READONLY, "what is wrapped" },
	{ "blksize", T_PYSSIZET, offsetof(struct file, block_size), READONLY, "argument of read()" },
	{ NULL, 0, 0, 0, NULL },
};

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.FileWrapper",
	.tp_basicsize = sizeof(struct file),
	.tp_dealloc = file_free,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.tp_doc = "FileWrapper(filelike, blksize=8192): wsgi.file_wrapper.",
	.tp_traverse = file_traverse,
	.tp_clear = file_clear,
	.tp_iter = PyObject_SelfIter,
	.tp_iternext = file_next,
	.tp_methods = methods,
	.tp_members = members,
	.tp_new = file_new,
};

int wsgi_file_prepare(void)
{
	PyObject *io = PyImport_ImportModule("io");

	if (io == NULL)
		return -1;
	raw_type = PyObject_GetAttrString(io, "FileIO");
	buffered_types[0] = PyObject_GetAttrString(io, "BufferedReader");
	buffered_types[1] = PyObject_GetAttrString(io, "BufferedRandom");
	Py_DECREF(io);
	if (raw_type == NULL || buffered_types[0] == NULL || buffered_types[1] == NULL)
		return -1;
	return PyType_Ready(&type);
}

PyObject *wsgi_file_type(void)
{
	return (PyObject *)&type;
}

/* An object of tempfile.NamedTemporaryFile()? If the module is not imported, it is not. */
static bool is_temporary(PyObject *filelike)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "tempfile"); /* borrowed */
	PyObject *wrapper = module ? PyObject_GetAttrString(module, "_TemporaryFileWrapper") : NULL;
	const bool is_one = (PyObject *)Py_TYPE(filelike) == wrapper;

	PyErr_Clear();
	Py_XDECREF(wrapper);
	return is_one;
}

/* The plain file that `filelike` reads from, as a *new* reference, or NULL. */
static PyObject *plain_file(PyObject *filelike)
{
	PyObject *file = Py_NewRef(filelike);
	PyObject *raw;
	bool plain;

	if (is_temporary(filelike))
		Py_XSETREF(file, PyObject_GetAttrString(filelike, "file"));
	if (file == NULL || (PyObject *)Py_TYPE(file) == raw_type)
		return file;
	plain = (PyObject *)Py_TYPE(file) == buffered_types[0] || (PyObject *)Py_TYPE(file) == buffered_types[1];
	raw = plain ? PyObject_GetAttr(file, wsgi_keys.raw) : NULL;
	if (raw == NULL || (PyObject *)Py_TYPE(raw) != raw_type)
		Py_CLEAR(file);
	Py_XDECREF(raw);
	return file;
}

bool wsgi_file_sendable(PyObject *object, int *ret_fd, int64_t *ret_offset, int64_t *ret_size)
{
	PyObject *file = Py_IS_TYPE(object, &type) ? plain_file(((struct file *)object)->filelike) : NULL;
	PyObject *tell = file ? PyObject_CallMethodNoArgs(file, wsgi_keys.tell) : NULL;
	const int fd = tell ? PyObject_AsFileDescriptor(file) : -1;
	const long long offset = fd >= 0 ? PyLong_AsLongLong(tell) : -1;
	struct stat about;

	PyErr_Clear(); /* reading block by block raises it again */
	Py_XDECREF(tell);
	Py_XDECREF(file);
	/* Files in /proc have st_size 0, though read() returns bytes. */
	if (offset < 0 || fstat(fd, &about) < 0 || !S_ISREG(about.st_mode) || offset >= about.st_size)
		return false;
	*ret_fd = fd;
	*ret_offset = offset;
	*ret_size = about.st_size - offset;
	return true;
}
