/** The name of the file in an export folder that lists the files of the export. */
export const EXPORT_MANIFEST = 'rowtune_export.json';
