/*
 * http/body_file.h -- which files can be the body of a response.
 */
#ifndef HTTP_BODY_FILE_H
#define HTTP_BODY_FILE_H

/* 0, or a negative errno with an error message: the file is not open for reading, or has no offsets. */
int pfi_body_file_check(int fd);

#endif
