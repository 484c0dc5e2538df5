/* Scans the directories and patterns of --reload. */
#include "reload_files.h"
#include "reload_scan.h"
#include "text_set.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DEPTH_MAX = 24, /* of directories; also limits the open descriptors */
	LINKS_MAX = 40, /* as path_resolution(7) */
};

/* 0: the set has `text` now; -ENOMEM. */
static int add(struct wsgi_text_set *set, const char *text)
{
	const int r = wsgi_text_set_add(set, text);

	return r < 0 ? r : 0;
}

/* 1: changes in this directory are of interest from now on; 0: the limit is reached. */
static int enter(struct wsgi_reload_scan *self, const char *path)
{
	int r;

	if (self->directories.count >= self->directories_max && !wsgi_text_set_has(&self->directories, path)) {
		self->is_limited = true;
		return 0;
	}
	r = wsgi_text_set_add(&self->directories, path);
	return r < 0 ? r : 1;
}

/* --- files --- */

static bool is_code(const char *name)
{
	const size_t length = strlen(name);

	return length > 3 && *name != '.' && strcmp(name + length - 3, ".py") == 0;
}

static int make_space(struct wsgi_reload_scan *self)
{
	const size_t more = self->file_space ? 2 * self->file_space : 16;
	struct wsgi_reload_file *larger;

	if (self->file_count < self->file_space)
		return 0;
	larger = reallocarray(self->files, more, sizeof *larger);
	if (larger == NULL)
		return -ENOMEM;
	self->files = larger;
	self->file_space = more;
	return 0;
}

static int add_file(struct wsgi_reload_scan *self, const char *path)
{
	struct wsgi_reload_file *file;
	struct stat about;

	if (stat(path, &about) < 0)
		return 0; /* it has vanished, or its link leads nowhere */
	if (make_space(self) < 0)
		return -ENOMEM;
	file = &self->files[self->file_count];
	*file = (struct wsgi_reload_file){
		.path = strdup(path), .device = about.st_dev, .inode = about.st_ino, .size = about.st_size,
		.changed = about.st_mtim,
	};
	if (!S_ISDIR(about.st_mode)) /* that of a directory is the time of any file in it */
		file->replaced = about.st_ctim;
	if (file->path == NULL)
		return -ENOMEM;
	self->file_count++;
	return 0;
}

/* False: too long. */
static bool join(char to[PATH_MAX], const char *directory, const char *name)
{
	return snprintf(to, PATH_MAX, "%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", name) < PATH_MAX;
}

static bool is_link(const char *path, unsigned char type)
{
	struct stat about;

	return type == DT_LNK || (type == DT_UNKNOWN && lstat(path, &about) == 0 && S_ISLNK(about.st_mode));
}

static bool is_directory(const char *path, unsigned char type)
{
	struct stat about;

	return type == DT_DIR || (type == DT_UNKNOWN && lstat(path, &about) == 0 && S_ISDIR(about.st_mode));
}

static int note_link(struct wsgi_reload_scan *self, const char *path, const struct timespec *replaced)
{
	struct wsgi_reload_file *const link = &self->link;

	if (link->path != NULL && !wsgi_reload_is_later(replaced, &link->replaced))
		return 0;
	free(link->path);
	link->path = strdup(path);
	link->replaced = *replaced;
	return link->path != NULL ? 0 : -ENOMEM;
}

/* Watch the link `path`, wherever it leads: each link in the path can be replaced by another. It examines each part of the
 * path, so that it is called for links only, not for each file. */
static int follow_links(struct wsgi_reload_scan *self, const char *path, int links)
{
	char directory[PATH_MAX], target[PATH_MAX], next[2 * PATH_MAX];
	size_t end = 0, start;
	struct stat about;
	ssize_t size = -1;
	int r;

	do { /* the first part of the path that is a link, or the last part */
		start = end + strspn(path + end, "/");
		end = start + strcspn(path + start, "/");
		if (end >= sizeof directory)
			return 0;
		memcpy(directory, path, end);
		directory[end] = '\0';
		if (lstat(directory, &about) == 0 && S_ISLNK(about.st_mode))
			size = readlink(directory, target, sizeof target - 1);
	} while (size < 0 && path[end] != '\0' && path[end + strspn(path + end, "/")] != '\0');
	r = add(&self->names, directory + start);
	if (r == 0 && size >= 0)
		r = note_link(self, directory, &about.st_ctim);
	directory[start > 1 ? start - 1 : start] = '\0';
	if (r == 0)
		r = enter(self, directory);
	if (r <= 0 || size < 0 || links == LINKS_MAX)
		return r < 0 ? r : 0;
	target[size] = '\0';
	if (snprintf(next, sizeof next, "%s%s%s%s", *target == '/' ? "" : directory, *target == '/' ? "" : "/", target,
	             path + end) >= PATH_MAX)
		return 0;
	return follow_links(self, next, links + 1);
}

/* --- trees --- */

/* Directories without code of the application: caches, packages, virtualenvs. */
static bool is_skipped(const char *path, const char *name)
{
	char mark[PATH_MAX];

	if (*name == '.' || strcmp(name, "__pycache__") == 0 || strcmp(name, "node_modules") == 0)
		return true;
	return !join(mark, path, "pyvenv.cfg") || access(mark, F_OK) == 0;
}

static int walk(struct wsgi_reload_scan *self, const char *path, int depth);

static int look_at(struct wsgi_reload_scan *self, const char *path, const struct dirent *entry, int depth)
{
	const bool is_linked = is_link(path, entry->d_type);
	bool is_below = is_directory(path, entry->d_type);
	struct stat about;
	int r = 0;

	if (is_linked && stat(path, &about) < 0)
		return is_code(entry->d_name) ? follow_links(self, path, 0) : 0;
	if (is_linked)
		is_below = S_ISDIR(about.st_mode);
	if (is_below ? is_skipped(path, entry->d_name) : !is_code(entry->d_name))
		return 0;
	if (is_linked)
		r = follow_links(self, path, 0);
	if (r == 0 && is_below)
		return is_linked ? add(&self->links, path) : walk(self, path, depth + 1);
	return r == 0 ? add_file(self, path) : r;
}

/* 1: it is the first time; 0: links lead to this directory again. */
static int visit(struct wsgi_reload_scan *self, int directory)
{
	char key[64];
	struct stat about;

	if (fstat(directory, &about) < 0)
		return 0;
	(void)snprintf(key, sizeof key, "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
	return wsgi_text_set_add(&self->visited, key);
}

/* Directories that vanish meanwhile or are unreadable contain nothing to import: not an error. */
static int walk(struct wsgi_reload_scan *self, const char *path, int depth)
{
	DIR *const directory = depth < DEPTH_MAX && !self->is_limited ? opendir(path) : NULL;
	const struct dirent *entry;
	char below[PATH_MAX];
	int r;

	if (directory == NULL)
		return 0;
	r = visit(self, dirfd(directory));
	if (r == 1)
		r = enter(self, path);
	while (r == 1 && (entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && join(below, path, entry->d_name) &&
		    look_at(self, below, entry, depth) < 0)
			r = -ENOMEM;
	}
	(void)closedir(directory);
	return r < 0 ? r : 0;
}

static bool has_links(const char *path)
{
	char real[PATH_MAX];

	return realpath(path, real) && strcmp(real, path) != 0;
}

static int walk_trees(struct wsgi_reload_scan *self, const struct wsgi_reload_places *places)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < places->tree_count; i++) {
		if (has_links(places->trees[i]))
			r = follow_links(self, places->trees[i], 0);
		if (r == 0)
			r = walk(self, places->trees[i], 0);
	}
	return r;
}

/* To directories, which may have further links. */
static int walk_links(struct wsgi_reload_scan *self)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !self->is_limited && i < self->links.count; i++)
		r = walk(self, self->links.items[i], 0); /* it may move the array, but not the strings */
	return r;
}

/* --- patterns --- */

bool wsgi_reload_is_pattern(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

/* A file may be named as a pattern is, such as [id].html, and is then found by its name. */
static bool matches(const char *pattern, const char *name)
{
	return strcmp(pattern, name) == 0 || fnmatch(pattern, name, FNM_PERIOD) == 0;
}

/* Copies the first part of a path, "" if there is none. Returns what follows; NULL: the part is too long for a name. */
static const char *take_part(const char *path, char name[NAME_MAX + 1])
{
	const char *const part = path + strspn(path, "/");
	const size_t length = strcspn(part, "/");

	if (length > NAME_MAX)
		return NULL;
	memcpy(name, part, length);
	name[length] = '\0';
	return part + length + strspn(part + length, "/");
}

static int expand(struct wsgi_reload_scan *self, const char *base, const char *rest, int depth);

/* Expand `rest` below the entry `path`, whose name matches. */
static int expand_entry(struct wsgi_reload_scan *self, const char *path, unsigned char type, const char *rest, int depth)
{
	const int r = is_link(path, type) ? follow_links(self, path, 0) : 0;

	return r == 0 ? expand(self, path, rest, depth + 1) : r;
}

/* Expand `rest` below each entry of `base` whose name matches `pattern`; NULL: below each directory, with the same rest, as
 * the trees are walked. */
static int expand_entries(struct wsgi_reload_scan *self, const char *base, const char *pattern, const char *rest, int depth)
{
	DIR *const directory = depth < DEPTH_MAX ? opendir(base) : NULL;
	const struct dirent *entry;
	char below[PATH_MAX];
	int r = directory ? enter(self, base) : 0;

	while (r == 1 && (entry = readdir(directory)) != NULL) {
		if (!matches(pattern ? pattern : "*", entry->d_name) || strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 || !join(below, base, entry->d_name))
			continue;
		if ((pattern || (is_directory(below, entry->d_type) && !is_skipped(below, entry->d_name))) &&
		    expand_entry(self, below, entry->d_type, rest, depth) < 0)
			r = -ENOMEM;
	}
	if (directory)
		(void)closedir(directory);
	return r < 0 ? r : 0;
}

/* "**": no directory, or any number of them. Links to directories are not followed, which could be circles. A second "**"
 * that follows adds nothing, but would visit each directory again. */
static int expand_deep(struct wsgi_reload_scan *self, const char *base, const char *rest, int depth)
{
	const char *after = rest + strspn(rest, "/");
	int r;

	while (strncmp(after, "**", 2) == 0 && (after[2] == '/' || after[2] == '\0'))
		after += 2 + strspn(after + 2, "/");
	r = expand(self, base, *after != '\0' ? after : "*", depth);
	return r == 0 ? expand_entries(self, base, NULL, rest, depth) : r;
}

/* The entry `name` of the directory `base`: watch it if it is the last part of the path, or may appear later. 1: it exists,
 * and `path` is its path; 0: not. */
static int find_name(struct wsgi_reload_scan *self, const char *base, const char *name, bool is_last, char path[PATH_MAX])
{
	struct stat about;
	bool exists;
	int r = 0;

	if (!join(path, base, name))
		return 0;
	exists = lstat(path, &about) == 0;
	if (!exists && errno != ENOENT) /* ENOTDIR: a file that matches the part before */
		return 0;
	if (is_last || !exists)
		r = add(&self->names, name);
	if (r == 0 && (is_last || !exists))
		r = enter(self, base) < 0 ? -ENOMEM : 0;
	if (r == 0 && exists && S_ISLNK(about.st_mode))
		r = follow_links(self, path, 0);
	return r == 0 ? exists : r;
}

/* `base` exists, and links in it are watched; `rest` is what remains of the pattern. */
static int expand(struct wsgi_reload_scan *self, const char *base, const char *rest, int depth)
{
	char name[NAME_MAX + 1], path[PATH_MAX];
	const char *const after = take_part(rest, name);
	int r;

	if (after == NULL)
		return 0;
	if (*name == '\0')
		return add_file(self, base);
	if (strcmp(name, "**") == 0)
		return expand_deep(self, base, rest, depth);
	if (wsgi_reload_is_pattern(name)) {
		r = add(&self->patterns, name);
		return r == 0 ? expand_entries(self, base, name, after, depth) : r;
	}
	r = find_name(self, base, name, *after == '\0', path);
	return r == 1 ? expand(self, path, after, depth) : r;
}

/* Each part of the base is a name, whatever its characters. */
static int expand_item(struct wsgi_reload_scan *self, const struct wsgi_reload_item *item)
{
	char paths[2][PATH_MAX] = { "/" }, name[NAME_MAX + 1];
	const char *rest = take_part(item->base, name);
	unsigned at = 0;
	int r = 1;

	for (; r == 1 && rest && *name != '\0'; at ^= 1) {
		r = find_name(self, paths[at], name, *rest == '\0' && *item->pattern == '\0', paths[at ^ 1]);
		rest = take_part(rest, name);
	}
	return r == 1 && rest ? expand(self, paths[at], item->pattern, 0) : r < 0 ? r : 0;
}

/* --- a scan --- */

/* A file may match several patterns, and be in a tree, too. */
static void sort_files(struct wsgi_reload_scan *self)
{
	size_t kept = 0;

	if (self->file_count > 0)
		qsort(self->files, self->file_count, sizeof *self->files, wsgi_reload_compare_files);
	for (size_t i = 0; i < self->file_count; i++) {
		if (kept > 0 && wsgi_reload_compare_files(&self->files[kept - 1], &self->files[i]) == 0)
			free(self->files[i].path);
		else
			self->files[kept++] = self->files[i];
	}
	self->file_count = kept;
}

/* What names a file has precedence at the limit. */
static int expand_items(struct wsgi_reload_scan *self, const struct wsgi_reload_places *places, bool are_patterns)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < places->item_count; i++) {
		if (wsgi_reload_is_pattern(places->items[i].pattern) == are_patterns)
			r = expand_item(self, &places->items[i]);
	}
	return r;
}

int wsgi_reload_scan_create(const struct wsgi_reload_places *places, struct wsgi_reload_scan **ret)
{
	struct wsgi_reload_scan *self = calloc(1, sizeof *self);
	int r;

	if (self == NULL)
		return -ENOMEM;
	self->directories_max = places->directories_max;
	r = expand_items(self, places, false);
	if (r == 0)
		r = walk_trees(self, places);
	if (r == 0)
		r = expand_items(self, places, true);
	if (r == 0)
		r = walk_links(self);
	if (r < 0) {
		wsgi_reload_scan_destroy(self);
		return r;
	}
	sort_files(self);
	*ret = self;
	return 0;
}

void wsgi_reload_scan_destroy(struct wsgi_reload_scan *self)
{
	if (self == NULL)
		return;
	for (size_t i = 0; i < self->file_count; i++)
		free(self->files[i].path);
	free(self->files);
	free(self->link.path);
	wsgi_text_set_finish(&self->directories);
	wsgi_text_set_finish(&self->names);
	wsgi_text_set_finish(&self->patterns);
	wsgi_text_set_finish(&self->links);
	wsgi_text_set_finish(&self->visited);
	free(self);
}

bool wsgi_reload_scan_is_limited(const struct wsgi_reload_scan *self)
{
	return self->is_limited;
}

const char *wsgi_reload_scan_directory(const struct wsgi_reload_scan *self, size_t index)
{
	return index < self->directories.count ? self->directories.items[index] : NULL;
}

bool wsgi_reload_scan_concerns(const struct wsgi_reload_scan *self, const char *name)
{
	if (is_code(name) || wsgi_text_set_has(&self->names, name))
		return true;
	for (size_t i = 0; i < self->patterns.count; i++) {
		if (matches(self->patterns.items[i], name))
			return true;
	}
	return false;
}
