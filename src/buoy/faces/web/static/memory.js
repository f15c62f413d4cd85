// What this browser remembers of the page: little texts by name, where it may keep any.

export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage is forbidden: nothing is remembered
  }
}

export function remember(name, text) {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // then it is asked for again next time
  }
}
