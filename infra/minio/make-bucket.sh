#!/bin/sh
# Makes the archive's bucket with versions, Object Lock and a default retention, and a user who may write and read in it
# but delete nothing. Runs at every start; a second run changes nothing but the user's secret and the retention.
set -eu
export MC_CONFIG_DIR=/tmp/mc
mc alias set store http://minio:9000 "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" >/dev/null
mc mb --ignore-existing --with-lock store/trail
mc retention set --default governance "$ARCHIVE_RETENTION" store/trail
mc admin policy create store archive-writer /etc/hooktrail/archive-writer.json
mc admin user add store "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
# Attaching what is attached is an error.
case $(mc admin user info store "$S3_ACCESS_KEY") in
  *archive-writer*) ;;
  *) mc admin policy attach store archive-writer --user "$S3_ACCESS_KEY" ;;
esac
