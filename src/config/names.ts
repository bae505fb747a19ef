/** A user or Unix group, as useradd would take it. Labels that claim an owner are held to it, too. */
export const USER_NAME = /^[a-z_][a-z0-9_.-]{0,31}$/i;
/** Or its uid: users of a directory service are in no file of the host. */
export const USER_OR_UID = /^(?:[a-z_][a-z0-9_.-]{0,31}|\d{1,10})$/i;
/** A container type, or the name of a group of limits. It starts with a letter, so that maps keep their order. */
export const WORD = /^[a-z][a-z0-9_.-]{0,63}$/i;
/** What groups and users are called in messages. */
export const USER_NAME_FORM = 'a user name (letters, digits, _ . -, at most 32)';
export const WORD_FORM = 'a name (a letter, then letters, digits, _ . -, at most 64)';
