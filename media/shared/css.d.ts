/** Style sheets that a page imports: the bundler puts them beside its script. */
declare module '*.css';
