/** Style sheets that a page imports; the bundler writes them next to its script. */
declare module '*.css';
