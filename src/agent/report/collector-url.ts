/** Where a path of the collector's own stands: below the path of its address, if that has one. */
export function collectorUrl(collector: URL, path: string): URL {
  const url = new URL(collector);
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
  return url;
}
