#!/usr/bin/env python3
"""
Writes src/users/confusables.ts from Unicode's data for security mechanisms (UTS #39), as the ICU library of this machine has
it (Debian: libicu72 has Unicode 15.0):

    python3 test/users/confusables.py > src/users/confusables.ts
"""
import ctypes
import glob
import unicodedata

path = sorted(glob.glob('/usr/lib/*/libicui18n.so.[0-9][0-9]'))[-1]
icu = path.rsplit('.', 1)[1]
i18n, uc = ctypes.CDLL(path), ctypes.CDLL(path.replace('i18n', 'uc'))


def function(library, name, result, *arguments):
    found = getattr(library, f'{name}_{icu}')
    found.restype, found.argtypes = result, arguments
    return found


Error = ctypes.POINTER(ctypes.c_int)
open_checker = function(i18n, 'uspoof_open', ctypes.c_void_p, Error)
sets = [function(i18n, f'uspoof_get{name}Set', ctypes.c_void_p, Error) for name in ('Recommended', 'Inclusion')]
contains = function(uc, 'uset_contains', ctypes.c_int8, ctypes.c_void_p, ctypes.c_int32)
get_skeleton = function(i18n, 'uspoof_getSkeletonUTF8', ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint32,
                        ctypes.c_char_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32, Error)
get_version = function(uc, 'u_getUnicodeVersion', None, ctypes.POINTER(ctypes.c_uint8 * 4))

error = ctypes.c_int(0)
checker = open_checker(ctypes.byref(error))
# Together these are the characters whose Identifier_Status is Allowed.
allowed_sets = [each(ctypes.byref(error)) for each in sets]
version = (ctypes.c_uint8 * 4)()
get_version(ctypes.byref(version))
assert error.value <= 0, error.value


def skeleton(text):
    source, target, failure = text.encode(), ctypes.create_string_buffer(256), ctypes.c_int(0)
    length = get_skeleton(checker, 0, source, len(source), target, 256, ctypes.byref(failure))
    assert failure.value <= 0, failure.value
    return target.raw[:length].decode()


def points(text):
    return '.'.join(f'{ord(character):x}' for character in text)


def lines(words):
    line = ''
    for word in words:
        if len(line) + 1 + len(word) > 118:
            yield line
            line = word
        else:
            line = f'{line} {word}'.strip()
    yield line


code_points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
allowed = [point for point in code_points if any(contains(each, point) for each in allowed_sets)]
ranges = []
for point in allowed:
    if ranges and ranges[-1][1] == point - 1:
        ranges[-1][1] = point
    else:
        ranges.append([point, point])
# A skeleton is made of the decomposed text, one character at a time.
parts = sorted({part for point in allowed for part in unicodedata.normalize('NFD', chr(point))})
prototypes = [(part, skeleton(part)) for part in parts if skeleton(part) != part]

print(f"""// Written by test/users/confusables.py from ICU {icu}: do not edit.
// Unicode {version[0]}.{version[1]}.{version[2]}, UTS #39. Copyright (c) 1991-2022 Unicode, Inc., https://www.unicode.org/license.txt

/** The characters whose Identifier_Status is Allowed, as ranges. */
export const ALLOWED_RANGES = `""")
print('\n'.join(lines(f'{first:x}' if first == last else f'{first:x}-{last:x}' for first, last in ranges)))
print("""`

/** Of those, decomposed, the ones that look like something else: the character, and what its skeleton is. */
export const PROTOTYPES = `""")
print('\n'.join(lines(f'{points(part)}>{points(prototype)}' for part, prototype in prototypes)))
print('`')
